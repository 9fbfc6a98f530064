// precompiled.h for test binaries, which are compiled with other flags, and the test libraries.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "precompiled.h"
