// The bodies of Asio's and Beast's separately compiled functions, once in the program
// (BOOST_ASIO_SEPARATE_COMPILATION): every other file that includes them compiles in half the time.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
