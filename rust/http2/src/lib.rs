//! stub
#![allow(missing_docs, unused)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub max_streams: u32,
    pub header_list_bytes: u32,
    pub scheme_https: bool,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    A,
}
impl Reason {
    pub fn as_str(self) -> &'static str {
        ""
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    InternalError,
    Cancel,
    RefusedStream,
}
#[derive(Debug)]
pub struct Over {
    pub reason: Reason,
    pub code: ErrorCode,
}
pub enum Read {
    Bytes(usize),
    Pending,
    End,
    Reset(ErrorCode),
}
pub enum Write {
    Taken(usize),
    Blocked,
    Reset(ErrorCode),
    Malformed,
}
#[derive(Debug)]
pub struct Connection;
impl Connection {
    pub fn new(_: Role, _: Settings) -> Self {
        Self
    }
    pub fn receive(&mut self, b: &[u8], now: u64) -> Result<(), Over> {
        Ok(())
    }
    pub fn accept(&mut self) -> Option<u32> {
        None
    }
    pub fn open(&mut self) -> Option<u32> {
        None
    }
    pub fn capacity(&self) -> u32 {
        0
    }
    pub fn read(&mut self, s: u32, b: &mut [u8]) -> Read {
        Read::Pending
    }
    pub fn is_readable(&self, s: u32) -> bool {
        false
    }
    pub fn is_reset(&self, s: u32) -> Option<ErrorCode> {
        None
    }
    pub fn write(&mut self, s: u32, p: &[std::io::IoSlice<'_>]) -> Write {
        Write::Blocked
    }
    pub fn finish(&mut self, s: u32) {}
    pub fn is_written(&self, s: u32) -> bool {
        false
    }
    pub fn release(&mut self, s: u32, c: Option<ErrorCode>) {}
    pub fn output(&self) -> &[u8] {
        &[]
    }
    pub fn sent(&mut self, n: usize) {}
    pub fn woken(&mut self) -> Option<u32> {
        None
    }
    pub fn go_away(&mut self) {}
    pub fn is_draining(&self) -> bool {
        false
    }
    pub fn is_over(&self) -> bool {
        false
    }
    pub fn streams(&self) -> usize {
        0
    }
}
