import Foundation
import Glibc

/// Starts programs as a shell does: no signal is blocked or ignored. Foundation's `Process` hands on
/// the signal mask of whatever thread it is called on, and threads of a pool block them all.
enum Spawn {
  /// Starts a program with its streams in files.
  static func start(
    _ program: String, _ arguments: [String], environment: [String: String], directory: String,
    input: String, output: String, errors: String
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    // A group of its own: a signal from the terminal reaches the tests, which then clear up.
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

    // `env` changes the folder and becomes the program: the call for it is not in every C library.
    let words = ["env", "-C", directory, program] + arguments
    var argv = words.map { strdup($0) } + [nil]
    var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for string in argv + envp { free(string) } }
    var pid: pid_t = 0
    let failure = posix_spawn(&pid, "/usr/bin/env", &actions, &attributes, &argv, &envp)
    guard failure == 0 else {
      throw NeverHappened(
        description: "\(program) cannot be started: \(String(cString: strerror(failure)))")
    }
    return pid
  }

  /// How a child ended: its exit status, or 128 + the signal; `nil` while it runs. Asked again after
  /// the end it no longer knows.
  static func status(of pid: pid_t) -> Int32? {
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
    return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
  }
}
