//! What the model says, listened to on its way into the usage record.

use tidegate_dialect::{Answer, Dialect, Event, EventReader, Part};

/// What the model says, for the record.
#[derive(Debug, Default)]
pub struct Words {
    /// Reads beside a stream that passes as it is.
    reader: Option<EventReader>,
    events: Vec<Event>,
    /// So far.
    pub text: String,
}

impl Words {
    /// Takes what an event says.
    pub fn take(&mut self, event: &Event) {
        if let Event::Delta { text, .. } = event {
            self.text.push_str(text);
        }
    }

    /// Takes what bytes of a stream say that passes as it is.
    pub fn listen(&mut self, provider: Dialect, bytes: &[u8]) {
        let reader = self.reader.get_or_insert_with(|| EventReader::new(provider));
        // What can't be read is not recorded; it passes all the same.
        let _ = reader.feed(bytes, &mut self.events);
        for event in std::mem::take(&mut self.events) {
            self.take(&event);
        }
    }

    /// Takes what a whole answer says.
    pub fn answer(&mut self, answer: &Answer) {
        for part in answer.choices.iter().flat_map(|choice| &choice.parts) {
            match part {
                Part::Text { text, .. } | Part::Refusal { text } => self.text.push_str(text),
                Part::ToolCall { name, arguments, .. } => {
                    self.text.push_str(name);
                    self.text.push_str(arguments);
                }
                _ => {}
            }
        }
    }
}
