// What functions return to Python, through which no C++ exception may pass.
#pragma once

enum Status : int { DONE, NO_RESULT, NO_MEMORY };

// The status of a function that says whether it has a result, and allocates memory.
template <typename Function> int guarded(Function function) noexcept {
    try {
        return function() ? DONE : NO_RESULT;
    } catch (...) {  // std::bad_alloc or std::length_error: nothing else is thrown
        return NO_MEMORY;
    }
}
