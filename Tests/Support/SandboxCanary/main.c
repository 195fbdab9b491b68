// A program that is only a canary, so that tests need no agent: see CSandbox.h.
#include "CSandbox.h"

int main(int argc, char *argv[]) { return iorun_canary(argc, argv); }
