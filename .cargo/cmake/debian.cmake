# The WebAssembly part of deno_core's QuickJS backend asks for the headers of simde. Debian's
# libsimde-dev has them, so nothing is cloned from the network.
set(FETCHCONTENT_SOURCE_DIR_SIMDE /usr/include CACHE PATH "" FORCE)
