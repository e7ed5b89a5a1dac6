# Given to llama.cpp's CMake by bench/compare_llama_cpp (CMAKE_PROJECT_TOP_LEVEL_INCLUDES): flags for its CPU kernels alone,
# so that only they are built again for another variant. Its source stays as it is.
#   SHOAL_PEER_VARIANT=native   what -march=native gives
#   SHOAL_PEER_VARIANT=no-amx   the same without AMX tiles

function(shoal_peer_variant)
  if(SHOAL_PEER_VARIANT STREQUAL "no-amx")
    target_compile_options(ggml-cpu PRIVATE -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
  else()
    target_compile_options(ggml-cpu PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:SHELL:-include "${SHOAL_PEER_HEADERS}/whole_tile_config.h">)
  endif()
endfunction()
cmake_language(DEFER CALL shoal_peer_variant)
