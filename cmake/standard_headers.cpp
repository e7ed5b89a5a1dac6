// Only there to carry precompiled headers: the folders' (ProjectOptions.cmake) and the tests'
// (tests/CMakeLists.txt).
