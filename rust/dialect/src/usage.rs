//! What a call took, in buckets that never count a token twice.

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The provider said so.
    Reported,
    /// Counted by the gateway from what passed.
    Estimated,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl Source {
    /// As records and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

/// Tokens by bucket. The buckets are disjoint: input in all is the sum of `input`, `cache_read`, `cache_write_5m`,
/// `cache_write_1h` and `audio_in`; output in all is `output`, `reasoning` and `audio_out`. `None` is "not said", never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Where the numbers come from.
    pub source: Source,
    /// Input that no cache held.
    pub input: Option<u64>,
    /// Input read from the provider's prompt cache.
    pub cache_read: Option<u64>,
    /// Input written to the cache for five minutes, or for as long as the provider keeps it by default.
    pub cache_write_5m: Option<u64>,
    /// Input written to the cache for an hour.
    pub cache_write_1h: Option<u64>,
    /// Output that the client sees.
    pub output: Option<u64>,
    /// Output that is thought.
    pub reasoning: Option<u64>,
    /// Audio in.
    pub audio_in: Option<u64>,
    /// Audio out.
    pub audio_out: Option<u64>,
    /// Pictures made.
    pub images: Option<u64>,
}

impl Usage {
    /// All of the input; `None` where nothing of it was said.
    pub fn input_total(&self) -> Option<u64> {
        sum(&[self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_in])
    }

    /// All of the output; `None` where nothing of it was said.
    pub fn output_total(&self) -> Option<u64> {
        sum(&[self.output, self.reasoning, self.audio_out])
    }

    /// Takes over what `later` says, bucket by bucket: the way cumulative reports of a stream add up to the last.
    pub fn update(&mut self, later: &Usage) {
        let Self { source, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, .. } = self;
        let pairs = [
            (input, later.input),
            (cache_read, later.cache_read),
            (cache_write_5m, later.cache_write_5m),
            (cache_write_1h, later.cache_write_1h),
            (output, later.output),
            (reasoning, later.reasoning),
            (&mut self.audio_in, later.audio_in),
            (&mut self.audio_out, later.audio_out),
            (&mut self.images, later.images),
        ];
        for (mine, said) in pairs {
            if said.is_some() {
                *mine = said;
            }
        }
        if later.source != Source::Unknown {
            *source = later.source;
        }
    }
}

fn sum(buckets: &[Option<u64>]) -> Option<u64> {
    buckets.iter().flatten().copied().reduce(u64::saturating_add)
}
