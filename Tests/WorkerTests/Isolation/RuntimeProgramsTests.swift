import Testing

@testable import IorunWorker

/// What of the machine programs of the runtime see in a sandbox.
struct RuntimeProgramsTests {
  @Test func `an interpreter outside of the system's folders is shown with its environment`() {
    let programs = RuntimePrograms(
      executable: "/srv/venv/bin/python3", prefixes: ["/srv/venv", "/home/me/.pyenv/versions/3"],
      sdk: "/srv/source/iorun")
    #expect(programs.folders == ["/srv/venv", "/home/me/.pyenv/versions/3", "/srv/source/iorun"])
    #expect(programs.searchPath == "/srv/venv/bin:/usr/local/bin:/usr/bin:/bin")
    #expect(programs.packages == "/srv/source")
  }

  @Test func `what the system's folders have is not shown twice`() {
    let programs = RuntimePrograms(
      executable: "/usr/bin/python3", prefixes: ["/usr", "/usr"],
      sdk: "/usr/lib/python3/dist-packages/iorun")
    #expect(programs.folders.isEmpty && programs.packages == nil)
    #expect(programs.searchPath == "/usr/bin:/usr/local/bin:/usr/bin:/bin")
  }

  @Test func `a whole branch of the machine is never shown`() {
    let programs = RuntimePrograms(
      executable: "/root/bin/python3", prefixes: ["/root", "/"], sdk: "/iorun")
    #expect(programs == RuntimePrograms())
  }

  @Test func `a path that leads out of what is shown is not shown`() {
    let programs = RuntimePrograms(
      executable: "/srv/venv/bin/python3", prefixes: ["/srv/venv"], sdk: "")
    #expect(programs.shows("/srv/venv/bin/python3") && programs.shows("/usr/bin/env"))
    for path in ["/srv/venv/../secret", "/srv/venvs/x", "/etc/shadow", "venv", "/usrx"] {
      #expect(!programs.shows(path), "\(path)")
    }
  }
}
