# What everything built on the kernels shares: the module of Python (../CMakeLists.txt) and the pair style (../lammps).
#
#   iontherm_link_kernels(<target>)    kernels for every instruction set of the architecture, chosen at run time
include_guard(GLOBAL)

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang|IntelLLVM" OR CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")
  message(FATAL_ERROR "native/ is written in the vector extension of GCC and Clang, which ${CMAKE_CXX_COMPILER_ID} does "
                      "not have: set the environment variable CXX to g++ or clang++.")
endif()
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
find_package(Threads REQUIRED)

set(iontherm_native ${CMAKE_CURRENT_LIST_DIR}/..)

# What all sources share. Sums keep the order in which they are written: no -ffast-math.
add_library(iontherm_options INTERFACE)
target_include_directories(iontherm_options INTERFACE ${iontherm_native}/include)
target_compile_options(iontherm_options INTERFACE -Wall -Wextra -fno-math-errno -fno-trapping-math -ffp-contract=fast)
target_link_libraries(iontherm_options INTERFACE Threads::Threads)

# The kernels once more, in the namespace <name>, in vectors of <lanes> doubles.
#
# Archives, because they stay behind the objects of the target on the command line of the linker, in the order of the
# calls. Of an inline function that several of them hold, the linker keeps the first, thus the one with the humblest
# instructions: call in ascending order.
function(iontherm_add_kernels target name lanes)
  add_library(kernels_${name} STATIC ${iontherm_native}/src/arch_kernels.cpp)
  target_compile_definitions(kernels_${name} PRIVATE IONTHERM_ARCH=${name} IONTHERM_LANES=${lanes})
  target_compile_options(kernels_${name} PRIVATE ${ARGN})
  target_link_libraries(kernels_${name} PRIVATE iontherm_options)
  target_link_libraries(${target} PRIVATE kernels_${name})
endfunction()

# The compiler is asked what it compiles for: with a cross compiler the machine that builds is no guide.
check_cxx_source_compiles("#ifndef __x86_64__\n#error\n#endif\nint main() {}" IONTHERM_TARGET_IS_X86)
check_cxx_source_compiles("#ifndef __aarch64__\n#error\n#endif\nint main() {}" IONTHERM_TARGET_IS_AARCH64)

function(iontherm_link_kernels target)
  if(IONTHERM_TARGET_IS_X86)
    check_cxx_compiler_flag(-march=x86-64-v4 IONTHERM_COMPILER_KNOWS_LEVELS)
    if(NOT IONTHERM_COMPILER_KNOWS_LEVELS)
      message(FATAL_ERROR "${CMAKE_CXX_COMPILER} (${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}) does not know "
                          "-march=x86-64-v4: GCC 11 or Clang 12, or newer, is needed; set the environment variable CXX.")
    endif()
    target_compile_definitions(${target} PRIVATE IONTHERM_HAVE_X86)
    iontherm_add_kernels(${target} x86_64_v2 2 -march=x86-64-v2)
    iontherm_add_kernels(${target} x86_64_v3 4 -march=x86-64-v3)
    iontherm_add_kernels(${target} x86_64_v4 8 -march=x86-64-v4 -mprefer-vector-width=512)
  elseif(IONTHERM_TARGET_IS_AARCH64)
    target_compile_definitions(${target} PRIVATE IONTHERM_HAVE_NEON)
    iontherm_add_kernels(${target} neon 2)
  else()
    target_compile_definitions(${target} PRIVATE IONTHERM_HAVE_GENERIC)
    iontherm_add_kernels(${target} generic 2)
  endif()
endfunction()
