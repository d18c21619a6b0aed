//! Runs the Python program that the file carries.

use std::{
    env,
    ffi::{CString, OsString, c_char, c_int},
    os::unix::ffi::OsStringExt,
    process::ExitCode,
};

// The interpreter is configured by C structures whose layout only its own headers know; see interpreter.c.
#[allow(unsafe_code)]
unsafe extern "C" {
    /// Runs the program with these arguments, the last of which is null; its exit status. Ends with the process.
    fn tidegate_interpret(file: *const c_char, count: c_int, arguments: *const *const c_char) -> c_int;
}

/// Gives the whole command line to Python's `tidegate`.
pub fn run() -> ExitCode {
    let Some(file) = own_file() else {
        eprintln!(
            "tidegate: can't tell which file this program is: neither /proc/self/exe nor its own name lead to it"
        );
        return ExitCode::FAILURE;
    };
    let arguments: Vec<CString> = env::args_os().map(text).collect();
    let pointers: Vec<*const c_char> =
        arguments.iter().map(|argument| argument.as_ptr()).chain([std::ptr::null()]).collect();
    let count = c_int::try_from(arguments.len()).unwrap_or(c_int::MAX);
    // Safety: all pointers are to strings that end with NUL and outlive the call.
    #[allow(unsafe_code)]
    let status = unsafe { tidegate_interpret(text(file).as_ptr(), count, pointers.as_ptr()) };
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

/// This program's file: by the kernel's word, and where /proc is missing by the name that it was started with.
fn own_file() -> Option<OsString> {
    if let Ok(path) = env::current_exe()
        && path.exists()
    {
        return Some(path.into());
    }
    let name = std::path::PathBuf::from(env::args_os().next()?);
    let found = if name.components().count() > 1 {
        env::current_dir().ok()?.join(name)
    } else {
        env::split_paths(&env::var_os("PATH")?)
            .map(|folder| folder.join(&name))
            .find(|path| path.is_file())?
    };
    found.is_file().then(|| found.into())
}

/// Arguments come from the kernel with NULs at their ends, so none is in the middle.
fn text(argument: OsString) -> CString {
    CString::new(argument.into_vec()).unwrap_or_default()
}
