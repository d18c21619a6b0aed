//! Finds in texts what must not pass: words, patterns, personal data; blocks it, masks it, or masks and restores it.
