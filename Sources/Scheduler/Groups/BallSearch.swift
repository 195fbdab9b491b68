/// Groups around one site each: quick, and a bound from both sides.
struct BallSearch {
  private let matrix: LatencyMatrix
  private let capacities: [Int]
  private let wanted: Int
  /// For each site with devices: the round trip within which the wanted number is, and the sites.
  private let balls: [(radius: Float, sites: [Int])]

  init(_ matrix: LatencyMatrix, capacities: [Int], wanted: Int) {
    self.matrix = matrix
    self.capacities = capacities
    self.wanted = wanted
    let sites = capacities.indices.filter { capacities[$0] > 0 }
    balls = sites.compactMap { centre in
      let nearest = sites.filter { matrix[centre, $0] < .infinity }
        .sorted { (matrix[centre, $0], $0) < (matrix[centre, $1], $1) }
      var devices = 0
      let end = nearest.firstIndex { site in
        devices += capacities[site]
        return devices >= wanted
      }
      guard let end else { return nil }
      return (matrix[centre, nearest[end]], Array(nearest[...end]))
    }
  }

  /// Each member of a group has the whole group within the group's longest round trip: that cannot
  /// be shorter than the smallest ball. `nil` where there are not enough devices.
  var lowerBound: Float? { balls.map(\.radius).min() }

  /// The best of all balls.
  var bestGroup: [Int]? {
    balls.map { (matrix.longest(among: $0.sites), $0.sites) }.min { $0.0 < $1.0 }?.1
  }

  /// The best of the groups that grow from each site by whatever makes them least longer; `nil` where
  /// unknown round trips end them all.
  var grownGroup: [Int]? {
    let sites = capacities.indices.filter { capacities[$0] > 0 }
    var best: (longest: Float, sites: [Int]) = (.infinity, [])
    for start in sites {
      var group = [start]
      var devices = capacities[start]
      var reach = sites.map { $0 == start ? Float.infinity : matrix[start, $0] }
      var longest: Float = 0
      while devices < wanted, longest < best.longest {
        guard let next = reach.indices.min(by: { reach[$0] < reach[$1] }),
          reach[next] < .infinity
        else {
          longest = .infinity
          break
        }
        longest = max(longest, reach[next])
        group.append(sites[next])
        devices += capacities[sites[next]]
        reach[next] = .infinity
        for index in reach.indices where reach[index] < .infinity {
          reach[index] = max(reach[index], matrix[sites[next], sites[index]])
        }
      }
      if longest < best.longest { best = (longest, group) }
    }
    return best.longest < .infinity ? best.sites : nil
  }
}
