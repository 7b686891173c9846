//! How do shares make the data key again? Shamir's scheme over GF(2^8) with AES's polynomial, a share being the
//! values of one polynomial a byte, followed by the point at which they were taken.

use zeroize::Zeroizing;

/// Joins at least two shares; `None` when they do not belong together.
pub(super) fn combine(shares: &[Zeroizing<Vec<u8>>]) -> Option<Zeroizing<Vec<u8>>> {
    let length = shares.first()?.len();
    if shares.len() < 2 || length < 2 || shares.iter().any(|share| share.len() != length) {
        return None;
    }
    let points: Vec<u8> = shares.iter().filter_map(|share| share.last().copied()).collect();
    let mut secret = Zeroizing::new(vec![0_u8; length - 1]);
    for (index, share) in shares.iter().enumerate() {
        let factor = at_zero(&points, index)?;
        for (byte, value) in secret.iter_mut().zip(share.iter()) {
            *byte ^= multiply(*value, factor);
        }
    }
    Some(secret)
}

/// The Lagrange factor of one share for the value at zero.
fn at_zero(points: &[u8], index: usize) -> Option<u8> {
    let own = *points.get(index)?;
    let mut factor = 1;
    for (other, &point) in points.iter().enumerate() {
        if other != index {
            // Two shares of one point, or a share of the secret itself, are no shares.
            let distance = own ^ point;
            if distance == 0 || point == 0 {
                return None;
            }
            factor = multiply(factor, multiply(point, invert(distance)));
        }
    }
    Some(factor)
}

/// Without branches or tables that depend on the data.
fn multiply(left: u8, right: u8) -> u8 {
    let (mut left, mut product) = (left, 0);
    for bit in 0..8 {
        product ^= left & 0_u8.wrapping_sub((right >> bit) & 1);
        left = (left << 1) ^ (0x1b & 0_u8.wrapping_sub(left >> 7));
    }
    product
}

/// The 254th power.
fn invert(value: u8) -> u8 {
    let mut result = 1;
    for _ in 0..254 {
        result = multiply(result, value);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert!((1..=255).all(|value| multiply(value, invert(value)) == 1));
    }

    #[test]
    fn any_two_of_three_shares_on_a_line_give_the_secret() {
        // f(x) = 42 + 7x
        let share = |x: u8| Zeroizing::new(vec![42 ^ multiply(7, x), x]);
        for pair in [[1, 2], [2, 200], [9, 1]] {
            assert_eq!(combine(&pair.map(share)).as_deref(), Some(&vec![42]));
        }
        assert!(combine(&[share(1)]).is_none());
        assert!(combine(&[share(1), share(1)]).is_none());
    }
}
