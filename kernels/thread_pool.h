#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace shoal {

// A persistent pool for one compute thread, which takes part as thread 0. Workers spin briefly after a job,
// then park: an idle device burns no core. parallel_for allocates nothing.
class ThreadPool {
 public:
  // num_threads >= 1, counting the caller.
  explicit ThreadPool(std::size_t num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t num_threads() const;

  // Runs job(context, begin, end, thread) over disjoint slices of [0, count) and returns when all are done.
  // Slices have at least `grain` items (the last may have fewer); one thread runs all when count <= grain.
  // They shrink towards the end, so that threads finish together; a thread may be given several, one after
  // another. count < 2^32. One caller at a time, never from inside a job.
  using Job = void (*)(void* context, std::size_t begin, std::size_t end, std::size_t thread);
  void run(std::size_t count, std::size_t grain, Job job, void* context);

  template <typename Function>  // function(begin, end, thread)
  void parallel_for(std::size_t count, std::size_t grain, Function&& function) {
    run(
        count, grain,
        [](void* context, std::size_t begin, std::size_t end, std::size_t thread) {
          (*static_cast<std::remove_reference_t<Function>*>(context))(begin, end, thread);
        },
        const_cast<void*>(static_cast<const void*>(&function)));
  }

  // Work items finished since construction; read by any thread (the worker's beats carry it).
  std::size_t finished() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shoal
