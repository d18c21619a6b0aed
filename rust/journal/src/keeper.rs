//! The background thread that makes segments: one spare for each writer, and everything that waits in memory written first.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::journal::{Message, Shared, Slot, queued};
use crate::map::Mapped;

/// Between two tries while no segment can be made: a disk that is full stays so for a while, and a try is cheap.
const RETRY: Duration = Duration::from_millis(100);

/// Runs until the journal is dropped.
pub(crate) fn run(shared: &Shared, messages: &Receiver<Message>) {
    let mut slots: Vec<Arc<Slot>> = Vec::new();
    loop {
        let mut all = true;
        slots.retain(|slot| {
            let served = serve(shared, slot).is_ok();
            all &= served;
            !(served && forget(slot))
        });
        let first = if all {
            messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            messages.recv_timeout(RETRY)
        };
        match first {
            Ok(message) => {
                for message in std::iter::once(message).chain(messages.try_iter()) {
                    match message {
                        Message::Serve(slot) => slots.push(slot),
                        Message::Wake => {}
                        Message::Retire(segment) => drop(segment),
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for slot in slots {
        // The last try: a disk that is full now must not keep the process from ending.
        let _ = serve(shared, &slot);
        forget(&slot);
        shared.lost.fetch_add(slot.lock().queue.len() as u64, Relaxed);
    }
}

/// Writes what waits, then leaves a spare. Fails where no segment can be made; nothing is lost or out of order then.
fn serve(shared: &Shared, slot: &Slot) -> io::Result<()> {
    let mut segment: Option<Mapped> = None;
    loop {
        let mut batch = {
            let mut waiting = slot.lock();
            if waiting.spare.is_some() || waiting.gone && waiting.queue.is_empty() {
                if let Some(segment) = segment {
                    // The writer left while this was made.
                    finish(segment);
                }
                return Ok(());
            }
            if waiting.queue.is_empty()
                && let Some(segment) = segment.take()
            {
                waiting.spare = Some(segment);
                return Ok(());
            }
            std::mem::take(&mut waiting.queue)
        };
        let written = write(shared, slot, &mut segment, &mut batch);
        if !batch.is_empty() {
            let mut waiting = slot.lock();
            batch.append(&mut waiting.queue);
            waiting.queue = batch;
        }
        written?;
    }
}

/// Writes the batch, in as many segments as it takes; the last is left in `segment`.
fn write(
    shared: &Shared,
    slot: &Slot,
    segment: &mut Option<Mapped>,
    batch: &mut VecDeque<Box<[u8]>>,
) -> io::Result<()> {
    loop {
        let open = match segment {
            Some(open) => open,
            None => segment.insert(shared.make(slot.worker)?),
        };
        while let Some(record) = batch.front() {
            if !open.push(record) {
                break;
            }
            let bytes = queued(record.len());
            batch.pop_front();
            slot.queued_bytes.fetch_sub(bytes, Relaxed);
            shared.queued_bytes.fetch_sub(bytes, Relaxed);
        }
        if batch.is_empty() {
            return Ok(());
        }
        open.close();
        *segment = None;
    }
}

/// Whether the writer is gone and nothing of it waits; its spare is then removed, if it holds nothing.
fn forget(slot: &Slot) -> bool {
    let mut waiting = slot.lock();
    if !waiting.gone {
        return false;
    }
    if let Some(spare) = waiting.spare.take() {
        finish(spare);
    }
    waiting.queue.is_empty()
}

/// Nobody will append to it.
fn finish(mut segment: Mapped) {
    if segment.is_empty() {
        segment.remove();
    } else {
        segment.close();
    }
}
