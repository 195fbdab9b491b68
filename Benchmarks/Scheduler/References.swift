/// What was published, or measured with others' algorithms, about the same data: printed beside our values.
enum References {
  /// Allocation on openb: FGD (Weng et al., USENIX ATC 2023).
  static let allocation = [
    "allocation_percent":
      "FGD: 95.39 default, 94.55 gpuspec33, 86.90 gpushare100; BestFit: 93.08, 93.09, 85.01"
  ]
  /// Decisions of others: other clusters and machines, so orders of magnitude only.
  static let decisions = [
    "decisions_per_second": "Nomad C1M 3,750; Ray 19 placement groups; a plain scan in Swift 8,800",
    "drain_seconds": "Ray: 1,000,000 tasks queued on one node in 184 s",
    "p99_us": "a plain scan in Swift 1,250 on 19,408 nodes",
  ]
  /// Groups on the same matrices.
  static let groups = ["mean_ratio": "a ball around one site: 1.02 to 1.15"]
  /// Vivaldi in 8 dimensions on the same matrices.
  static let coordinates = [
    "median_relative_error": "Vivaldi 8-D: 0.079 222 cities, 0.094 PlanetLab"
  ]
}
