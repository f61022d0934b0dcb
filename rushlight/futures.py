"""`Future`: a value that another thread will set, and the functions that run when it is there."""
import threading

__all__ = ["Future", "collect_all", "wait_all"]


class Future:
    """A value that is set once, later. `then` chains a function to it.

    Callbacks run on the thread that sets the value, or at once if it is already set.
    """

    def __init__(self, *, devices=None):
        self._set, self._value, self._error = threading.Event(), None, None
        self._lock, self._callbacks = threading.Lock(), []

    def done(self):
        """Whether the value or an exception is set."""
        return self._set.is_set()

    def wait(self):
        """Wait for the value and return it; raise the exception if one was set."""
        self._set.wait()
        return self.value()

    def value(self):
        """The value of a completed future. RuntimeError if it is not complete."""
        if not self._set.is_set():
            raise RuntimeError("Future is incomplete, call wait() first")
        if self._error is not None:
            raise self._error
        return self._value

    def then(self, callback):
        """Return a future of `callback(self)`, which runs when this one is complete."""
        following = Future()

        def run(future):
            try:
                following.set_result(callback(future))
            except BaseException as error:
                following.set_exception(error)
        self.add_done_callback(run)
        return following

    def add_done_callback(self, callback):
        """Call `callback(self)` when this future is complete; what it returns is dropped."""
        with self._lock:
            if not self._set.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def set_result(self, result):
        """Complete the future with a value."""
        self._complete(result, None)

    def set_exception(self, result):
        """Complete the future with an exception, which `wait` and `value` raise."""
        if not isinstance(result, BaseException):
            raise TypeError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def _complete(self, value, error):
        with self._lock:
            if self._set.is_set():
                raise RuntimeError("Future can only be marked as completed once")
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
            self._set.set()
        for callback in callbacks:
            callback(self)


def collect_all(futures):
    """Return a future of the list of futures, complete when all of them are."""
    futures, found = list(futures), Future()
    left, lock = [len(futures)], threading.Lock()

    def count(_):
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            found.set_result(futures)
    if not futures:
        found.set_result(futures)
    for future in futures:
        future.add_done_callback(count)
    return found


def wait_all(futures):
    """Wait for all futures and return their values; raise the first exception."""
    return [future.wait() for future in collect_all(futures).wait()]
