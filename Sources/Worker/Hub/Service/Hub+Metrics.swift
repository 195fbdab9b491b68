internal import Foundation
internal import IorunCore
internal import IorunWire

/// What the node tells Prometheus.
extension Hub {
  /// One scrape. The head and other nodes are not asked: each node tells of itself.
  func metricsText() -> String {
    typealias Sample = PrometheusText.Sample
    var text = PrometheusText()
    func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
      text.add("iorun_" + name, "gauge", help, samples)
    }
    gauge("up", "1 while the node's runtime side runs.", [Sample(value: 1)])
    gauge(
      "resources_total", "What the node offers.",
      settings.total.amounts.map { Sample(labels: ["resource": $0.key], value: $0.value) })
    let available = scheduler.available
    gauge(
      "resources_available", "What of it is free.",
      settings.total.amounts.keys.map {
        Sample(labels: ["resource": $0], value: max(0, available[$0]))
      })
    gauge(
      "leases_waiting", "Requests for leases that wait here.",
      [Sample(value: Double(scheduler.waitingCount))])
    gauge("jobs", "Runtime jobs that have something here.", [Sample(value: Double(jobs.count))])
    gauge("processes", "Processes of runtime jobs, by kind.", processSamples())
    gauge("connections", "Open connections.", [Sample(value: Double(connections.count))])
    gauge(
      "tasks", "Tasks of this node's drivers and actors that are remembered, by state.",
      taskSamples())
    let stores = jobs.values.compactMap(\.store)
    gauge(
      "objects", "Objects in shared memory or spilled.",
      [Sample(value: Double(stores.reduce(0) { $0 + $1.books.count }))])
    gauge(
      "object_store_used_bytes", "Shared memory that objects take.",
      [Sample(value: Double(stores.reduce(0) { $0 + $1.books.usedBytes }))])
    gauge(
      "object_store_spilled_bytes", "Bytes of objects on disk.",
      [Sample(value: Double(stores.reduce(0) { $0 + $1.books.spilledBytes }))])
    gauge(
      "relay_waiting_bytes", "Bytes that wait to be sent to other nodes.",
      [Sample(value: Double(relayWaiting))])
    gauge(
      "user_metrics_dropped", "Notes of programs' own metrics beyond the most that are kept.",
      [Sample(value: Double(userMetrics.dropped))])
    userMetrics.write(to: &text)
    return text.text
  }

  func metric(_ message: LocalMessage) throws {
    try userMetrics.take(try message.decode(UserMetrics.Note.self))
  }

  private var relayWaiting: Int {
    jobs.values.reduce(0) { sum, job in
      sum + job.streams.values.reduce(0) { $0 + $1.sender.waitingBytes }
    }
  }

  private func processSamples() -> [PrometheusText.Sample] {
    var counts = ["driver": 0, "worker": 0, "actor": 0]
    for job in jobs.values {
      for process in job.processes.values {
        let kind = process.isDriver ? "driver" : process.actor == nil ? "worker" : "actor"
        counts[kind, default: 0] += 1
      }
    }
    return counts.map { PrometheusText.Sample(labels: ["kind": $0.key], value: Double($0.value)) }
  }

  private func taskSamples() -> [PrometheusText.Sample] {
    var counts = Dictionary(
      uniqueKeysWithValues: ["PENDING", "RUNNING", "FINISHED", "FAILED", "CANCELLED"].map {
        ($0, 0)
      })
    for job in jobs.values { for item in job.tasks.items.values { counts[item.state]? += 1 } }
    return counts.map { PrometheusText.Sample(labels: ["state": $0.key], value: Double($0.value)) }
  }
}
