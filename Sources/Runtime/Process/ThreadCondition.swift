internal import Glibc

/// A mutex with conditions to wait for: what `Mutex` does not offer.
///
/// Safety of `@unchecked Sendable`: the pointers are set once and freed with the last reference; what
/// they point to is made for use by many threads.
final class ThreadCondition: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let conditions: UnsafeMutablePointer<pthread_cond_t>
  private let count: Int

  init(conditions count: Int) {
    self.count = count
    conditions = .allocate(capacity: count)
    pthread_mutex_init(mutex, nil)
    for index in 0..<count { pthread_cond_init(conditions + index, nil) }
  }

  deinit {
    for index in 0..<count { pthread_cond_destroy(conditions + index) }
    pthread_mutex_destroy(mutex)
    conditions.deallocate()
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }
  /// Waits for a signal of one condition; the lock is held before and after.
  func wait(_ index: Int) { pthread_cond_wait(conditions + index, mutex) }
  func signal(_ index: Int) { pthread_cond_signal(conditions + index) }
  func broadcast(_ index: Int) { pthread_cond_broadcast(conditions + index) }
}
