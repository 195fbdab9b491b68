/// What a gang asks of the nodes it runs on, beyond room: what is `nil` is not asked.
public struct PlacementTerms: Hashable, Codable, Sendable {
  /// What becomes of a gang when a node of it is lost.
  public enum OnLoss: String, Hashable, Codable, Sendable, CaseIterable {
    /// The attempt fails; `retries` says how many more there are.
    case fail
    /// The gang starts anew, without using up a retry: who is left keeps its node, and the lost ranks
    /// get others, a spare or one of the same site before all others.
    case replace
    /// The same; where nothing within the longest round trip that the gang asked for is free, places
    /// that make it up to a quarter longer are taken.
    case degrade
    /// The same as `replace`; where nothing near is free, it goes on with the ranks that are left.
    case shrink
    /// The same as `replace`; where nothing near is free, the whole gang moves at once, before any job
    /// that waits.
    case migrate

    /// All of them, for a person: `fail, replace, degrade, shrink or migrate`.
    public static let words =
      allCases.dropLast().map(\.rawValue).joined(separator: ", ") + " or \(Self.migrate.rawValue)"
  }

  /// How the ranks may lie where the first strategy does not fit, in this order.
  public var fallbacks: [GangStrategy]?
  /// What the labels of each node must say: a value, `!value`, `in(a,b)`, `!in(a,b)`, `*` or `!*` by key.
  public var labels: [String: String]?
  /// The most ranks on the nodes of one supplier.
  public var mostRanksPerSupplier: Int?
  /// The most ranks in one region; nodes that tell none, or that may lie about it, count as one region.
  public var mostRanksPerRegion: Int?
  /// The most that an hour of one GPU, or of one core where no GPU is asked for, may cost, in millionths
  /// of a dollar.
  public var mostMicrodollarsPerHour: Int?
  /// Places that are held beside the gang, on other nodes, for ranks whose node is lost.
  public var spares: Int?
  /// What becomes of the gang when a node of it is lost; `nil` for `fail`.
  public var onLoss: OnLoss?
  /// With how many ranks a gang that shrinks still goes on; `nil` for one.
  public var leastRanks: Int?

  /// Asks nothing.
  public init() {}

  /// True where it asks nothing.
  public var isEmpty: Bool { self == PlacementTerms() }
}
