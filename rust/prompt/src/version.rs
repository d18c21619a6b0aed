//! One version of a prompt: its messages as templates, what goes in and what comes out.

use std::{fmt, io};

use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value, json};
use tidegate_plan as plan;

use crate::{prompts::PromptFault, schema::Schema};

/// Instructions that one message's template may run: a loop over ten thousand things is within it.
const FUEL: u64 = 500_000;

/// Calls within calls (macros) of one template.
const RECURSION: usize = 64;

/// Bytes of one prompt's messages; what a template makes of small inputs is bounded too.
pub const MESSAGES_MOST: usize = 8 << 20;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator.
    System,
    /// The operator, in the newer word.
    Developer,
    /// The person.
    User,
    /// The model: an example of an answer.
    Assistant,
}

impl Role {
    /// As chat requests name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One version of a prompt.
#[derive(Debug)]
pub struct Version {
    /// Unique in the prompt.
    pub name: String,
    /// Its share of the calls that pin none.
    pub weight: u32,
    /// Index of the model.
    pub model: u32,
    /// Other fields of the chat request, in OpenAI's words.
    pub parameters: Map<String, Value>,
    pub(crate) input: Schema,
    pub(crate) output: Option<Schema>,
    roles: Vec<Role>,
    /// The templates by the index of their message.
    templates: Environment<'static>,
}

/// Why no prompt can be made of the inputs. It is the caller's fault, and may be told and logged: no input is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFault {
    /// Where, as a JSON Pointer into the inputs; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// Why an answer is not what was promised: the model's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFault {
    /// Where, as a JSON Pointer into the answer; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

macro_rules! told {
    ($fault:ty) => {
        impl fmt::Display for $fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.path.is_empty() {
                    f.write_str(&self.message)
                } else {
                    write!(f, "{}: {}", self.path, self.message)
                }
            }
        }

        impl std::error::Error for $fault {}
    };
}
told!(InputFault);
told!(OutputFault);

impl Version {
    pub(crate) fn compile(written: &plan::PromptVersion) -> Result<Self, (String, String)> {
        let part = |name: &'static str| move |why| (name.to_owned(), why);
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| minijinja::AutoEscape::None); // a prompt is no HTML
        templates.set_fuel(Some(FUEL));
        templates.set_recursion_limit(RECURSION);
        let mut roles = Vec::new();
        for (index, (role, template)) in written.messages.iter().enumerate() {
            let here = format!("messages[{index}]");
            roles.push(role_of(role).ok_or_else(|| {
                (here.clone(), format!("{role:?} is no role; there are system, developer, user, assistant"))
            })?);
            templates
                .add_template_owned(index.to_string(), template.clone())
                .map_err(|error| (here, template_fault(&error)))?;
        }
        if roles.is_empty() {
            return Err(("messages".into(), "there is no message".into()));
        }
        let parameters = serde_json::from_str(&written.parameters)
            .map_err(|error| ("parameters".to_owned(), format!("is no JSON object: {error}")))?;
        Ok(Self {
            name: written.version.clone(),
            weight: written.weight,
            model: written.model,
            parameters,
            input: Schema::compile(&written.input).map_err(part("input"))?,
            output: written.output.as_deref().map(Schema::compile).transpose().map_err(part("output"))?,
            roles,
            templates,
        })
    }

    /// Checks the inputs, and makes the messages of them.
    pub fn render(&self, inputs: &Value) -> Result<Vec<(Role, String)>, InputFault> {
        if !inputs.is_object() {
            return Err(InputFault {
                path: String::new(),
                message: "the inputs must be one JSON object".into(),
            });
        }
        self.input.check(inputs).map_err(|(path, message)| InputFault { path, message })?;
        let context = minijinja::Value::from(minijinja::value::Serde(inputs));
        let mut left = MESSAGES_MOST;
        let mut messages = Vec::with_capacity(self.roles.len());
        for (index, role) in self.roles.iter().enumerate() {
            let mut out = Bounded { bytes: Vec::new(), left };
            let rendered = self
                .templates
                .get_template(&index.to_string())
                .and_then(|template| template.render_captured_to(context.clone(), &mut out).map(drop));
            rendered.map_err(|error| InputFault {
                path: String::new(),
                message: format!("message {index} can't be made of these inputs: {}", template_fault(&error)),
            })?;
            left = out.left;
            // Templates and inputs are UTF-8, and so is what is made of them.
            messages.push((*role, String::from_utf8_lossy(&out.bytes).into_owned()));
        }
        Ok(messages)
    }

    /// The schema that the answer follows, for the request to the model; `None`: text.
    #[must_use]
    pub fn output_schema(&self) -> Option<&Value> {
        self.output.as_ref().map(|schema| &schema.written)
    }

    /// What the caller gets for what the model said: the JSON that was promised, checked, or the text.
    pub fn answer(&self, said: &str) -> Result<Value, OutputFault> {
        let Some(schema) = &self.output else { return Ok(json!({ "text": said })) };
        let fault = |path, message| OutputFault { path, message };
        // Where it stands in JSON is told, what it says is not.
        let value: Value = serde_json::from_str(unfenced(said)).map_err(|error| {
            let place = format!("the answer is no JSON (line {}, column {})", error.line(), error.column());
            fault(String::new(), place)
        })?;
        schema.check(&value).map_err(|(path, message)| fault(path, message))?;
        Ok(value)
    }
}

/// Models that know no output schema like to fence JSON as Markdown does.
fn unfenced(said: &str) -> &str {
    let said = said.trim();
    let inner = said.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(said, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

fn role_of(name: &str) -> Option<Role> {
    Some(match name {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    })
}

/// In words, with the line and without the values.
fn template_fault(error: &minijinja::Error) -> String {
    let why = match error.kind() {
        ErrorKind::UndefinedError => "it needs an input that is not there".into(),
        ErrorKind::WriteFailure => format!("it gets longer than {MESSAGES_MOST} bytes"),
        ErrorKind::TemplateNotFound => "it names another template, and there are none".into(),
        ErrorKind::SyntaxError => match error.detail() {
            Some(detail) => format!("syntax error: {detail}"),
            None => "syntax error".into(),
        },
        ErrorKind::OutOfFuel => "it runs too long".into(),
        kind => kind.to_string(),
    };
    match error.line() {
        Some(line) => format!("{why} (line {line})"),
        None => why,
    }
}

/// Takes no more than a bound.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.left.checked_sub(bytes.len()) {
            Some(left) => self.left = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PromptFault {
    pub(crate) fn of(prompt: usize, version: usize, (part, why): (String, String)) -> Self {
        Self { path: format!("prompts[{prompt}].versions[{version}].{part}"), why }
    }
}
