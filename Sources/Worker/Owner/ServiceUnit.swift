/// The systemd unit of a node, so that it is there after a restart of the machine.
public struct ServiceUnit: Hashable, Sendable {
  /// Its name.
  public static let name = "iorun-node.service"

  /// The iorun binary, an absolute path.
  public var program: String
  /// The state folder that the node was joined with.
  public var stateFolder: String
  /// Whether it is the system's, and not one of a user.
  public var isSystemWide: Bool

  /// Describes a unit.
  public init(program: String, stateFolder: String, isSystemWide: Bool) {
    self.program = program
    self.stateFolder = stateFolder
    self.isSystemWide = isSystemWide
  }

  /// The file. `Delegate`: the agent makes control groups for what it runs. `KillMode=mixed`: the agent
  /// ends its ranks itself, in order. A node that its owner has drained ends with 0 and stays down.
  public var text: String {
    """
    [Unit]
    Description=iorun node
    Wants=network-online.target
    After=network-online.target

    [Service]
    ExecStart=\(Self.quoted(program)) join --state-dir \(Self.quoted(stateFolder))
    Restart=on-failure
    RestartSec=5
    Delegate=yes
    KillMode=mixed
    TimeoutStopSec=60
    LimitNOFILE=65536
    OOMScoreAdjust=-100

    [Install]
    WantedBy=\(isSystemWide ? "multi-user.target" : "default.target")

    """
  }

  /// A word of a command line of systemd.syntax(7): quoted, with `%` and `$` taken literally.
  private static func quoted(_ word: String) -> String {
    let escaped = word.map { character in
      switch character {
      case "\\": "\\\\"
      case "\"": "\\\""
      case "%": "%%"
      case "$": "$$"
      case "\n": "\\n"
      default: String(character)
      }
    }
    return "\"\(escaped.joined())\""
  }
}
