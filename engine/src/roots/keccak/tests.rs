use super::*;

/// A generator good enough to fill messages with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keccak as the standard writes it: loops over a five by five state, nothing unrolled.
fn by_the_book(message: &[u8]) -> [u8; 32] {
    let mut padded = message.to_vec();
    padded.push(1);
    padded.resize(padded.len().next_multiple_of(RATE), 0);
    *padded.last_mut().unwrap() |= 0x80;
    let mut a = [[0_u64; 5]; 5];
    for block in padded.chunks(RATE) {
        for (at, word) in block.chunks(8).enumerate() {
            a[at % 5][at / 5] ^= u64::from_le_bytes(word.try_into().unwrap());
        }
        for constant in ROUNDS {
            let c: [u64; 5] = std::array::from_fn(|x| a[x].iter().fold(0, |all, word| all ^ word));
            for (x, column) in a.iter_mut().enumerate() {
                let d = c[(x + 4) % 5] ^ c[(x + 1) % 5].rotate_left(1);
                column.iter_mut().for_each(|word| *word ^= d);
            }
            let (mut x, mut y, mut current) = (1, 0, a[1][0]);
            for t in 0..24 {
                (x, y) = (y, (2 * x + 3 * y) % 5);
                let turned = current.rotate_left((t + 1) * (t + 2) / 2 % 64);
                current = std::mem::replace(&mut a[x][y], turned);
            }
            for y in 0..5 {
                let row: [u64; 5] = std::array::from_fn(|x| a[x][y]);
                for (x, column) in a.iter_mut().enumerate() {
                    column[y] = row[x] ^ (!row[(x + 1) % 5] & row[(x + 2) % 5]);
                }
            }
            a[0][0] ^= constant;
        }
    }
    let words: Vec<u8> = (0..4).flat_map(|x| a[x][0].to_le_bytes()).collect();
    words.try_into().unwrap()
}

#[test]
fn known_messages_have_the_digests_that_ethereum_gives_them() {
    let known = [
        (
            "",
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        ),
        (
            "abc",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        ),
        (
            "transfer(address,uint256)",
            "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b",
        ),
    ];
    for (message, digest) in known {
        assert_eq!(hex(&keccak256(message.as_bytes())), digest, "{message:?}");
    }
}

#[test]
fn every_length_around_a_block_agrees_with_the_standard_written_out() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for length in (0..300).chain([1000, 1360, 5000]) {
        let message = random.bytes(length);
        assert_eq!(
            hex(&keccak256(&message)),
            hex(&by_the_book(&message)),
            "{length} bytes"
        );
    }
}

#[test]
fn every_number_of_lanes_gives_what_one_gives() {
    let mut random = Random(0xfeed_beef_cafe_0001);
    for lanes in Lanes::all() {
        for count in (0..40).chain([1_000]) {
            let messages: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let length = random.next() as usize % RATE;
                    random.bytes(length)
                })
                .collect();
            let mut digests = vec![[0; 4]; count];
            let block = |n: usize| pad(&messages[n]);
            hash_blocks(lanes, count, block, |n, digest| digests[n] = digest);
            for (message, digest) in messages.iter().zip(&digests) {
                let expected = by_the_book(message);
                assert_eq!(bytes_of(digest), expected, "{lanes:?}, {count} messages");
                assert_eq!(digest_of(&expected), *digest);
            }
        }
    }
    println!("lanes tried: {:?}", Lanes::all().collect::<Vec<_>>());
}
