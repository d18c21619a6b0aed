//! Prompts as APIs: templates with checked inputs.
//!
//! Knows: templates (minijinja), JSON Schema, versions and their weights, the OpenAPI document of them all.
//! Never: requests, models, dialects, files: who calls makes a chat request of the messages that come out.
//!
//! A call's body is one JSON object, the inputs. Its answer is the JSON that [`Version`]'s output schema asks for as it is, or
//! `{"text": "…"}` where there is none. [`Version::answer`] makes it of what the model said.

mod openapi;
mod prompts;
mod schema;
mod version;

pub use openapi::PIN_HEADER;
pub use prompts::{Prompt, PromptFault, Prompts, UnknownVersion};
pub use version::{InputFault, MESSAGES_MOST, OutputFault, Role, Version};
