//! Keeps records on disk so that no kill loses one: segments mapped into memory, appended to without a system call.
