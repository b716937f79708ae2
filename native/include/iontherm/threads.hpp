// A pool of threads for loops of a few hundred microseconds: workers spin a little before they sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace iontherm {

class ThreadPool {
  public:
    explicit ThreadPool(int n_threads) {
        for (int t = 1; t < n_threads; ++t) workers_.emplace_back([this, t] { work(t); });
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }

    int size() const { return static_cast<int>(workers_.size()) + 1; }

    // Call task(thread) once on every thread, this one included; the first exception comes back to the caller.
    void run(const std::function<void(int)>& task) {
        if (workers_.empty()) {
            task(0);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            task_ = &task;
            error_ = nullptr;
            left_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        guarded(0);
        while (left_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
        if (error_) std::rethrow_exception(error_);
    }

  private:
    void guarded(int thread) {
        try {
            (*task_)(thread);
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
        }
    }

    void work(int thread) {
        long seen = 0;
        for (;;) {
            // A molecular dynamics loop comes back within microseconds; only then is spinning cheaper than sleeping.
            for (int spin = 0; spin < 200 && round_.load(std::memory_order_acquire) == seen; ++spin) std::this_thread::yield();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            ++seen;
            if (stopping_) return;
            guarded(thread);
            left_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    const std::function<void(int)>* task_ = nullptr;
    std::exception_ptr error_;
    std::atomic<long> round_{0};
    std::atomic<int> left_{0};
    bool stopping_ = false;
};

}  // namespace iontherm
