//! What a peer has begun or owes and has not ended: whoever keeps the time can tell a slow peer from a quiet one.

use crate::connection::Connection;
use crate::{Over, Reason};

/// Something that the peer is waited for. It is the same as long as it is equal, however many bytes of it come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debt {
    /// The preface, its SETTINGS, or the acknowledgement of ours (RFC 9113 §3.4, §6.5.3).
    Settings,
    /// The rest of a head that comes in CONTINUATION, by its stream.
    Head(u32),
    /// The rest of a frame that counts as a whole only, by its number.
    Frame(u64),
}

impl Debt {
    /// Why a connection ends on which it stands for too long.
    pub fn reason(self) -> Reason {
        match self {
            Self::Settings => Reason::SettingsTimeout,
            Self::Head(_) | Self::Frame(_) => Reason::HeadTimeout,
        }
    }
}

impl Connection {
    /// What the peer has begun or owes. A body's DATA is not among it: its reader knows how fast it comes.
    pub fn debt(&self) -> Option<Debt> {
        if !self.acknowledged {
            Some(Debt::Settings)
        } else if let Some(block) = &self.block {
            Some(Debt::Head(block.stream))
        } else {
            (!self.part.is_empty()).then_some(Debt::Frame(self.frames))
        }
    }

    /// Ends the connection for what the peer did not do in time: GOAWAY with the reason's code is the output's last frame.
    pub fn give_up(&mut self, reason: Reason) -> Over {
        match self.over {
            Some(over) => over,
            None => self.fail(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{HEADER, PREFACE, flag, kind};
    use crate::{Role, Settings};

    const SETTINGS: [u8; HEADER] = [0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];
    const ACK: [u8; HEADER] = [0, 0, 0, kind::SETTINGS, flag::ACK, 0, 0, 0, 0];

    fn server() -> Connection {
        Connection::new(Role::Server, Settings::default())
    }

    #[test]
    fn the_beginning_is_owed_until_our_settings_are_acknowledged() {
        let mut server = server();
        for bytes in [&PREFACE[..3], &PREFACE[3..], &SETTINGS] {
            assert_eq!(server.receive(bytes, 0), Ok(()));
            assert_eq!(server.debt(), Some(Debt::Settings));
        }
        assert_eq!(server.receive(&ACK, 0), Ok(()));
        assert_eq!(server.debt(), None);
    }

    #[test]
    fn a_head_in_pieces_is_one_debt_and_the_next_frame_another() {
        let mut server = server();
        for bytes in [PREFACE, &SETTINGS, &ACK] {
            assert_eq!(server.receive(bytes, 0), Ok(()));
        }
        // HEADERS without END_HEADERS, then a part of CONTINUATION.
        assert_eq!(server.receive(&[0, 0, 1, kind::HEADERS, 1, 0, 0, 0, 1, 0x82], 0), Ok(()));
        assert_eq!(server.debt(), Some(Debt::Head(1)));
        assert_eq!(server.receive(&[0, 0, 2, kind::CONTINUATION], 0), Ok(()));
        assert_eq!(server.debt(), Some(Debt::Head(1)));
        let over = server.give_up(Reason::HeadTimeout);
        assert_eq!(over.code, crate::ErrorCode::ENHANCE_YOUR_CALM);
        assert_eq!(server.receive(&[0], 0), Err(over));
        assert!(server.is_over());
    }

    #[test]
    fn each_frame_that_is_cut_is_a_debt_of_its_own() {
        let mut server = server();
        for bytes in [PREFACE, &SETTINGS, &ACK] {
            assert_eq!(server.receive(bytes, 0), Ok(()));
        }
        let ping = [0, 0, 8, kind::PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(server.receive(&ping[..12], 0), Ok(()));
        let first = server.debt();
        assert!(matches!(first, Some(Debt::Frame(_))));
        assert_eq!(server.receive(&ping[12..], 0), Ok(()));
        assert_eq!(server.debt(), None);
        assert_eq!(server.receive(&ping[..1], 0), Ok(()));
        assert_ne!(server.debt(), first);
    }
}
