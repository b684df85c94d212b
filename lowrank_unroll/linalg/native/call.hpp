// What every function that Python calls needs: a status, and memory that it keeps between calls.
#pragma once

#include <optional>
#include <tuple>

enum Status : int { DONE, NO_RESULT, NO_MEMORY };

// Runs a function that returns whether it has a result, and returns its status: no C++ exception may reach Python.
template <typename Function> int status_of(Function function) noexcept {
    try {
        return function() ? DONE : NO_RESULT;
    } catch (...) {  // std::bad_alloc or std::length_error: nothing else is thrown
        return NO_MEMORY;
    }
}

// The workspace of a thread, made anew when the arguments of its constructor change. New memory is slow, since the
// system provides each page at the first access: a quarter of the time of the factors of 128 x 128 matrices.
template <typename Workspace, typename... Arguments> Workspace& thread_workspace(Arguments... arguments) {
    thread_local std::tuple<Arguments...> made_of;
    thread_local std::optional<Workspace> workspace;
    if (!workspace || made_of != std::tuple(arguments...)) {
        workspace.emplace(arguments...);
        made_of = {arguments...};
    }
    return *workspace;
}
