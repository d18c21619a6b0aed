//! Prompts as APIs: templates with checked inputs.
