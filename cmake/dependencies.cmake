# Every library from outside, as one target each. docs/reference/dependencies.md says why each was taken.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(simdjson REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED)
find_library(MR_LIBPQ pq REQUIRED)
find_path(MR_LIBPQ_INCLUDE libpq-fe.h PATH_SUFFIXES postgresql REQUIRED)
find_library(MR_ISAL isal REQUIRED)
find_library(MR_XXHASH xxhash REQUIRED)
find_library(MR_ZSTD zstd REQUIRED)
find_library(MR_SNAPPY snappy REQUIRED)
find_library(MR_PROTOBUF protobuf REQUIRED)
find_library(MR_BOOST_JSON boost_json REQUIRED)
find_library(MR_YAML_CPP yaml-cpp REQUIRED)
find_library(MR_PROMETHEUS prometheus-cpp-core REQUIRED)
find_library(MR_LIBEDIT edit REQUIRED)
find_program(MR_FLATC flatc REQUIRED)
find_path(MR_FLATBUFFERS flatbuffers/flatbuffers.h REQUIRED)

# DuckDB comes as a shared library from the npm registry (third_party/package.json); the C header is
# that of an older release, whose functions the library still has all of. Only src/sql includes it.
set(MR_NODE_MODULES ${CMAKE_SOURCE_DIR}/third_party/node_modules)
set(MR_DUCKDB_SO ${MR_NODE_MODULES}/@duckdb/node-bindings-linux-x64/libduckdb.so)
set(MR_DUCKDB_H ${MR_NODE_MODULES}/duckdb/src/duckdb/src/include/duckdb.h)
foreach(file ${MR_DUCKDB_SO} ${MR_DUCKDB_H})
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing: run ./dev setup")
  endif()
endforeach()
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/lib ${CMAKE_BINARY_DIR}/include)
configure_file(${MR_DUCKDB_SO} ${CMAKE_BINARY_DIR}/lib/libduckdb.so COPYONLY)
configure_file(${MR_DUCKDB_H} ${CMAKE_BINARY_DIR}/include/duckdb.h COPYONLY)
add_library(mr_duckdb SHARED IMPORTED)
set_target_properties(mr_duckdb PROPERTIES
  IMPORTED_LOCATION ${CMAKE_BINARY_DIR}/lib/libduckdb.so IMPORTED_SONAME libduckdb.so)
target_include_directories(mr_duckdb SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/include)

add_library(mr_options INTERFACE)
target_compile_options(mr_options INTERFACE
  -Wall -Wextra -Wconversion -Wno-sign-conversion -Wno-missing-designated-field-initializers -Wshadow -Wthread-safety -Werror
  -fno-omit-frame-pointer)
target_compile_definitions(mr_options INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ERROR_CODE_HEADER_ONLY FMT_SHARED SPDLOG_FMT_EXTERNAL MR_VERSION="${PROJECT_VERSION}")
target_include_directories(mr_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_options(mr_options INTERFACE -fuse-ld=lld-19)

add_library(mr_libpq INTERFACE)
target_include_directories(mr_libpq SYSTEM INTERFACE ${MR_LIBPQ_INCLUDE})
target_link_libraries(mr_libpq INTERFACE ${MR_LIBPQ})
