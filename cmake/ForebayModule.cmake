# forebay_module(name DEPS ...): one static library per folder of src/, its tests and its fuzz targets.
#
#   src/NAME/**/*.cc        -> library forebay_NAME
#   src/NAME/**/*_test.cc   -> one GoogleTest program NAME_test (one link instead of many)
#   src/NAME/**/*_fuzz.cc   -> a libFuzzer program each where FOREBAY_FUZZ is on; elsewhere they are compiled with the tests
#
# Heavy standard headers are precompiled once (target forebay_pch) and reused by every module.

add_library(forebay_flags INTERFACE)
target_compile_options(forebay_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Wcast-align -Wunused -Woverloaded-virtual -Wimplicit-fallthrough -Wextra-semi -Werror
  -Wno-gnu-statement-expression -Wno-gnu-statement-expression-from-macro-expansion
  # What a designated initialiser leaves out has its default: that is what options structs are for.
  -Wno-missing-designated-field-initializers
  # libstdc++ 12's own std::stable_sort calls a function that it marks as deprecated, and clang-19 blames the caller.
  -Wno-deprecated-declarations
  # The modules below the client library end up in a shared object, and one precompiled header serves all.
  -fPIC
  -fno-omit-frame-pointer)
target_include_directories(forebay_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
if(FOREBAY_SANITIZE)
  target_compile_options(forebay_flags INTERFACE -fsanitize=${FOREBAY_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(forebay_flags INTERFACE -fsanitize=${FOREBAY_SANITIZE})
endif()
if(FOREBAY_FUZZ)
  target_compile_options(forebay_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_link_options(forebay_flags INTERFACE -fuse-ld=lld)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1 ${CCACHE})
endif()

# CONFIGURE, not WRITE: an unchanged file keeps its time, and so does all that is built from it.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch.cc CONTENT "// Anchor of the precompiled header.\n")
add_library(forebay_pch STATIC ${CMAKE_BINARY_DIR}/pch.cc)
target_link_libraries(forebay_pch PUBLIC forebay_flags)
target_compile_options(forebay_pch PUBLIC -Xclang -fno-pch-timestamp)
target_precompile_headers(forebay_pch PRIVATE
  <algorithm> <array> <atomic> <chrono> <cstddef> <cstdint> <cstring> <deque> <expected> <functional> <map> <memory>
  <mutex> <optional> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>)

# A precompiled header holds the path of its build directory, so by its bytes no two trees would share a cached object.
# ccache takes this sum instead: the compiler and the headers' text. The options are on every command line anyway.
# For the same reason the header's own absolute path leaves the command line: -include-pch alone does what is needed.
set(CMAKE_CXX_COMPILE_OPTIONS_USE_PCH "-include-pch;<PCH_FILE>")
get_target_property(pch_headers forebay_pch PRECOMPILE_HEADERS)
list(TRANSFORM pch_headers PREPEND "#include " OUTPUT_VARIABLE pch_text)
list(JOIN pch_text "\n" pch_text)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/CMakeFiles/pch_sum.cc CONTENT "${pch_text}\n" @ONLY)
execute_process(
  COMMAND ${CMAKE_CXX_COMPILER} -std=c++23 -E -P ${CMAKE_BINARY_DIR}/CMakeFiles/pch_sum.cc
  OUTPUT_VARIABLE pch_text COMMAND_ERROR_IS_FATAL ANY)
string(SHA256 pch_sum "${CMAKE_CXX_COMPILER_VERSION}${pch_text}")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/CMakeFiles/forebay_pch.dir/cmake_pch.hxx.pch.sum CONTENT "@pch_sum@\n" @ONLY)

function(forebay_module NAME)
  cmake_parse_arguments(ARG "" "" "DEPS;TEST_DEPS" ${ARGN})
  set(dir ${CMAKE_CURRENT_SOURCE_DIR})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${dir}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")

  if(sources)
    add_library(forebay_${NAME} STATIC ${sources})
    target_link_libraries(forebay_${NAME} PUBLIC forebay_flags ${ARG_DEPS})
    target_compile_options(forebay_${NAME} PRIVATE -Xclang -fno-pch-timestamp)
    target_precompile_headers(forebay_${NAME} REUSE_FROM forebay_pch)
  else()
    add_library(forebay_${NAME} INTERFACE)
    target_link_libraries(forebay_${NAME} INTERFACE forebay_flags ${ARG_DEPS})
  endif()

  if(FOREBAY_TESTS AND tests)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE forebay_${NAME} ${ARG_TEST_DEPS} GTest::gmock GTest::gtest_main)
    target_compile_options(${NAME}_test PRIVATE -Xclang -fno-pch-timestamp)
    target_precompile_headers(${NAME}_test REUSE_FROM forebay_pch)
    target_compile_definitions(${NAME}_test PRIVATE FOREBAY_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${NAME} COMMAND ${NAME}_test)
    set_tests_properties(${NAME} PROPERTIES TIMEOUT 600)
  endif()

  if(FOREBAY_FUZZ)
    foreach(file ${fuzzers})
      get_filename_component(target ${file} NAME_WE)
      add_executable(${target} ${file})
      target_link_libraries(${target} PRIVATE forebay_${NAME})
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      set_property(GLOBAL APPEND PROPERTY FOREBAY_FUZZERS ${target})
    endforeach()
  elseif(FOREBAY_TESTS AND fuzzers)
    # A fuzz target that an interface left behind is found by every build, not first by the tree that runs it.
    add_library(${NAME}_fuzz_compiles OBJECT ${fuzzers})
    target_link_libraries(${NAME}_fuzz_compiles PRIVATE forebay_${NAME})
    target_compile_options(${NAME}_fuzz_compiles PRIVATE -Xclang -fno-pch-timestamp)
    target_precompile_headers(${NAME}_fuzz_compiles REUSE_FROM forebay_pch)
  endif()
endfunction()
