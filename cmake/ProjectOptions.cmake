# Language, warnings and sanitizers for every target of ours, carried by one interface target.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "build type" FORCE)
endif()
set(SHOAL_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize= (address,undefined or thread)")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()

add_library(project_options INTERFACE)
target_include_directories(project_options INTERFACE ${CMAKE_SOURCE_DIR})
# -ffp-contract=off: the arithmetic is defined operation by operation; a fused multiply-add stands only where it is written.
target_compile_options(project_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wconversion -Wshadow -Werror -ffp-contract=off -fno-math-errno -fstack-protector-strong
  $<$<CONFIG:Release>:$<IF:$<BOOL:$<TARGET_PROPERTY:SHOAL_IS_TEST>>,-O1,-O2>>)
target_compile_definitions(project_options INTERFACE $<$<CONFIG:Release>:_GLIBCXX_ASSERTIONS>)
target_link_options(project_options INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
if(SHOAL_SANITIZE)
  target_compile_options(project_options INTERFACE -fsanitize=${SHOAL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # Where the work is (ARITHMETIC), slow tests would hurt; elsewhere slow builds do, and a check of every pointer doubles them.
  target_compile_options(project_options INTERFACE
    $<IF:$<BOOL:$<TARGET_PROPERTY:SHOAL_IS_ARITHMETIC>>,-O1,-O0>
    $<$<NOT:$<BOOL:$<TARGET_PROPERTY:SHOAL_IS_ARITHMETIC>>>:-fno-sanitize=vptr$<COMMA>null$<COMMA>alignment>)
  target_link_options(project_options INTERFACE -fsanitize=${SHOAL_SANITIZE})
endif()
# Sections of their own let the linker drop what shoal-worker does not reach.
target_compile_options(project_options INTERFACE -ffunction-sections -fdata-sections)
target_link_options(project_options INTERFACE -Wl,--gc-sections)

# gcc 12 takes the moves of a std::variant's inactive members for reads of uninitialised memory; whoever moves messages links this.
add_library(variant_moves INTERFACE)
target_compile_options(variant_moves INTERFACE -Wno-maybe-uninitialized)

# Standard headers, compiled once for all folders: a fifth of the build. No others: a header with objects of its own (CLI11
# has a dozen) would have them compiled in every file, at five seconds each. Files still include what they use: clang-tidy
# reads them without.
set(STANDARD_HEADERS
  <algorithm> <array> <charconv> <chrono> <cmath> <cstddef> <cstdint> <cstdio> <cstring> <filesystem> <fstream>
  <functional> <limits> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <utility> <variant>
  <vector>)
add_library(standard_headers OBJECT ${CMAKE_SOURCE_DIR}/cmake/standard_headers.cpp)
target_link_libraries(standard_headers PRIVATE project_options)
target_precompile_headers(standard_headers PRIVATE ${STANDARD_HEADERS})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  # For ccache; and gcc forgets that precompiled headers are the system's, and then shows its false alarms about
  # std::string's + (gcc bug 105329).
  target_compile_options(project_options INTERFACE -fpch-preprocess -Wno-array-bounds -Wno-restrict
    -Wno-stringop-overflow -Wno-stringop-overread)
endif()

# shoal_library(NAME SOURCES... [PUBLIC targets...] [PRIVATE targets...] [NO_PRECOMPILED] [ARITHMETIC]): one folder, one
# target. ARITHMETIC: work is done here, so sanitizers keep it optimised.
function(shoal_library name)
  cmake_parse_arguments(ARG "NO_PRECOMPILED;ARITHMETIC" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  if(ARG_NO_PRECOMPILED)
    # an instruction set's flags differ from file to file
  elseif(ARG_ARITHMETIC AND SHOAL_SANITIZE)  # flags of its own want headers of its own
    target_precompile_headers(${name} PRIVATE ${STANDARD_HEADERS})
  else()
    target_precompile_headers(${name} REUSE_FROM standard_headers)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} project_options)
  set_target_properties(${name} PROPERTIES SHOAL_IS_ARITHMETIC ${ARG_ARITHMETIC})
endfunction()
