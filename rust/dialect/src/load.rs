//! Reads how busy an inference server is out of its Prometheus text.

use std::borrow::Cow;

/// Bytes of the text that are read: servers with many label sets tell less than a tenth of it, and a text without an
/// end must not hold a worker.
pub const TEXT_BYTES: usize = 4 << 20;

/// How busy a server is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Requests that are being worked on.
    pub running: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// How much of the cache of keys and values is in use, 0 to 1; of several engines the fullest.
    pub kv_usage: Option<f64>,
}

/// Reads what vLLM, SGLang, TGI, Triton and TensorRT-LLM, and llama.cpp call these. Series with several label sets (one
/// for each engine or model) are added up. `None` where the text has none of the names.
pub fn parse(text: &[u8]) -> Option<Load> {
    let text = text.get(..TEXT_BYTES).unwrap_or(text);
    let mut found = Found::default();
    for line in text.split(|byte| *byte == b'\n') {
        found.line(line);
    }
    found.load()
}

#[derive(Default)]
struct Found {
    running: Option<f64>,
    /// Triton's, where no better is told.
    active: Option<f64>,
    waiting: Option<f64>,
    kv_usage: Option<f64>,
    kv_used: Option<f64>,
    kv_most: Option<f64>,
}

impl Found {
    fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return;
        }
        let Some((name, labels, value)) = sample(line) else { return };
        let add = |sum: &mut Option<f64>| *sum = Some(sum.unwrap_or(0.0) + value);
        let raise = |most: &mut Option<f64>| *most = Some(most.unwrap_or(0.0).max(value));
        match name.as_ref() {
            "vllm_num_requests_running"
            | "sglang_num_running_reqs"
            | "tgi_batch_current_size"
            | "trtllm_num_requests_running"
            | "llamacpp_requests_processing" => add(&mut self.running),
            "vllm_num_requests_waiting"
            | "sglang_num_queue_reqs"
            | "tgi_queue_size"
            | "trtllm_num_requests_waiting"
            | "llamacpp_requests_deferred" => add(&mut self.waiting),
            "vllm_kv_cache_usage_perc"
            | "vllm_gpu_cache_usage_perc"
            | "sglang_token_usage"
            | "trtllm_kv_cache_utilization"
            | "llamacpp_kv_cache_usage_ratio" => raise(&mut self.kv_usage),
            "nv_trt_llm_request_metrics" => match label(labels, "request_type") {
                Some("scheduled") => add(&mut self.running),
                Some("active") => add(&mut self.active),
                Some("waiting") => add(&mut self.waiting),
                _ => {}
            },
            "nv_trt_llm_kv_cache_block_metrics" => match label(labels, "kv_cache_block_type") {
                Some("fraction") => raise(&mut self.kv_usage),
                Some("used") => add(&mut self.kv_used),
                Some("max") => add(&mut self.kv_most),
                _ => {}
            },
            _ => {}
        }
    }

    fn load(self) -> Option<Load> {
        let share = match (self.kv_used, self.kv_most) {
            (Some(used), Some(most)) if most > 0.0 => Some(used / most),
            _ => None,
        };
        let running = self.running.or(self.active);
        let kv_usage = self.kv_usage.or(share).map(|share| share.min(1.0));
        if running.is_none() && self.waiting.is_none() && kv_usage.is_none() {
            return None;
        }
        // Values are finite and not negative; the cast saturates.
        Some(Load {
            running: running.unwrap_or(0.0) as u64,
            waiting: self.waiting.unwrap_or(0.0) as u64,
            kv_usage,
        })
    }
}

/// `name{labels} value [time]`; colons of names read as underscores, as some exporters write them. `None` for what is
/// no sample, or has no finite value of 0 or more.
fn sample(line: &[u8]) -> Option<(Cow<'_, str>, &str, f64)> {
    let line = std::str::from_utf8(line).ok()?;
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let name = if name.contains(':') { Cow::Owned(name.replace(':', "_")) } else { Cow::Borrowed(name) };
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_at(labels_end(rest)?),
        None => ("", rest),
    };
    let value = rest.trim_start_matches('}').split_ascii_whitespace().next()?;
    let value: f64 = value.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some((name, labels, value))
}

/// Where the closing brace is: quoted values may hold braces, and quotes behind a backslash.
fn labels_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match byte {
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'}' => return !quoted,
            _ => {}
        }
        false
    })
}

/// The value of a label. (The values that are looked for hold no commas.)
fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    labels.split(',').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vllm_old_and_new_names_are_read_and_engines_added_up() {
        let text = b"# HELP vllm:num_requests_running x\n# TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a}b\\\"{\"} 3.0\n\
            vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 2.0 1700000000\n\
            vllm:num_requests_waiting{engine=\"0\"} 4\r\n\
            vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n";
        assert_eq!(parse(text), Some(Load { running: 5, waiting: 4, kv_usage: Some(0.5) }));
        let old = parse(b"vllm:gpu_cache_usage_perc 0.75\n");
        assert_eq!(old, Some(Load { running: 0, waiting: 0, kv_usage: Some(0.75) }));
    }

    #[test]
    fn every_other_server_is_read() {
        let load = |running, waiting, kv_usage| Some(Load { running, waiting, kv_usage });
        let sglang =
            b"sglang:num_running_reqs{tp=\"0\"} 7\nsglang:num_queue_reqs 2\nsglang:token_usage 0.1\n";
        assert_eq!(parse(sglang), load(7, 2, Some(0.1)));
        assert_eq!(parse(b"tgi_batch_current_size 8\ntgi_queue_size 1\n"), load(8, 1, None));
        let triton = b"nv_trt_llm_request_metrics{model=\"t\",request_type=\"active\",version=\"1\"} 9\n\
            nv_trt_llm_request_metrics{model=\"t\",request_type=\"waiting\",version=\"1\"} 3\n\
            nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"used\",model=\"t\"} 10\n\
            nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\",model=\"t\"} 40\n";
        assert_eq!(parse(triton), load(9, 3, Some(0.25)));
        let trt = b"trtllm_num_requests_running 1\ntrtllm_num_requests_waiting 0\ntrtllm_kv_cache_utilization 0.9\n";
        assert_eq!(parse(trt), load(1, 0, Some(0.9)));
        let llama = b"llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\nllamacpp:kv_cache_usage_ratio 1\n";
        assert_eq!(parse(llama), load(2, 1, Some(1.0)));
    }

    #[test]
    fn values_that_make_no_sense_are_left_out() {
        assert_eq!(parse(b"vllm:num_requests_running NaN\nvllm:num_requests_waiting -1\n"), None);
        assert_eq!(parse(b"<html>busy</html>"), None);
        assert_eq!(parse(b""), None);
        let mixed = b"vllm:num_requests_running{a=\"\nvllm:num_requests_running 4\n\xff\xfe 3\n";
        assert_eq!(parse(mixed).map(|load| load.running), Some(4));
        assert_eq!(parse(b"vllm:num_requests_running 1e300\n").map(|load| load.running), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
            let mut named = b"nv_trt_llm_request_metrics{".to_vec();
            named.extend_from_slice(&text);
            let _ = parse(&named);
        }
    }
}
