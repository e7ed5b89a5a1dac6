// Only there to carry the tests' precompiled headers (tests/CMakeLists.txt): test_main.cpp is built without
// them.
