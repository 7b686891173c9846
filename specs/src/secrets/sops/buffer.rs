//! Where does plaintext grow without leaving copies? A buffer that wipes its old memory whenever it moves.

use zeroize::Zeroizing;

#[derive(Default)]
pub(super) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub(super) fn push_bytes(&mut self, more: &[u8]) {
        let needed = self.bytes.len() + more.len();
        if needed > self.bytes.capacity() {
            let mut moved = Zeroizing::new(Vec::with_capacity((needed * 2).max(1024)));
            moved.extend_from_slice(&self.bytes);
            self.bytes = moved;
        }
        self.bytes.extend_from_slice(more);
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}
