// A rank's supervisor without the rest of iorun, for tests that start real processes.
import CShim
import Glibc

exit(iorun_supervise(CommandLine.argc, CommandLine.unsafeArgv))
