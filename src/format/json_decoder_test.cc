#include "format/json_decoder.h"

#include <gtest/gtest.h>
TEST(JsonDecoder, Smoke) {}
