#!/usr/bin/env bash
# Records the fixtures of this folder with the real sops and age: the keys (made for this project, they open nothing
# else), each case as NAME.sops, and what `sops --decrypt` says of it as NAME.plain.
#
#   COMPOSE_AGENT_PEERS=/folder/with/bin specs/tests/data/secrets/record.sh
set -euo pipefail
cd "$(dirname "$0")"
[ -z "${COMPOSE_AGENT_PEERS:-}" ] || PATH=$COMPOSE_AGENT_PEERS/bin:$PATH
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch GNUPGHOME=$scratch/gnupg
mkdir -p keys "$GNUPGHOME"; chmod 700 "$GNUPGHOME"

if [ ! -e keys/age.txt ]; then
  age-keygen -o keys/age.txt
  { cat <(echo '# two identities, with comments and an empty line' && echo) <(age-keygen) <(age-keygen); } > keys/several.txt
  age-keygen -o keys/stranger.txt
  age-keygen -pq -o keys/postquantum.txt
  ssh-keygen -q -t ed25519 -N '' -C root@host -f keys/host_ed25519
  ssh-keygen -q -t rsa -b 2048 -N '' -C root@host -f keys/host_rsa
  ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -C root@host -f keys/host_rsa_pem
  ssh-keygen -q -t ed25519 -N passphrase -C locked -f keys/locked_ed25519
  ssh-keygen -q -t ecdsa -N '' -C ecdsa -f keys/host_ecdsa
fi
public() { age-keygen -y "$1" | tail -n 1; }
age=$(public keys/age.txt); several=$(public keys/several.txt)
ed25519=$(cut -d' ' -f1,2 keys/host_ed25519.pub); rsa=$(cut -d' ' -f1,2 keys/host_rsa.pub)

# What ssh-to-age does: the first half of SHA-512 of the ed25519 seed, as an age identity.
python3 - keys/host_ed25519 > "$scratch/converted" <<'PY'
import base64, hashlib, sys
body = base64.b64decode("".join(l for l in open(sys.argv[1]).read().split("\n") if l and not l.startswith("-")))
public = body[body.index(b"ssh-ed25519") + 15:][:32]
at = body.rindex(public); seed = body[at - 32:at]
data = hashlib.sha512(seed).digest()[:32]
hrp, chars = "age-secret-key-", "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
bits = "".join(f"{b:08b}" for b in data); bits += "0" * (-len(bits) % 5)
words = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
def polymod(values):
    check = 1
    for v in values:
        top = check >> 25; check = (check & 0x1ffffff) << 5 ^ v
        for i, g in enumerate([0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]):
            check ^= g if top >> i & 1 else 0
    return check
expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
check = polymod(expanded + words + [0] * 6) ^ 1
print((hrp + "1" + "".join(chars[w] for w in words + [check >> 5 * (5 - i) & 31 for i in range(6)])).upper())
PY
converted=$(public "$scratch/converted")
echo "$converted" > keys/host_ed25519.age
export SOPS_AGE_KEY_FILE=$scratch/all SOPS_AGE_SSH_PRIVATE_KEY_FILE=
cat keys/age.txt keys/several.txt "$scratch/converted" > "$SOPS_AGE_KEY_FILE"
mkdir -p "$HOME/.ssh"; cp keys/host_ed25519 "$HOME/.ssh/id_ed25519"; cp keys/host_rsa "$HOME/.ssh/id_rsa"
unset SOPS_AGE_SSH_PRIVATE_KEY_FILE

rm -rf cases; mkdir cases
# record NAME FORMAT FILE [sops options]
record() {
  local name=$1 format=$2 file=$3; shift 3
  sops --config /dev/null --disable-version-check --encrypt --input-type "$format" --output-type "$format" "$@" "$file" > "cases/$name.sops"
  sops --config /dev/null --disable-version-check --decrypt --input-type "$format" --output-type "$format" "cases/$name.sops" > "cases/$name.plain"
}
files=(yaml:plain/app.yaml json:plain/app.json dotenv:plain/app.env ini:plain/app.ini binary:plain/blob.bin)
for entry in "${files[@]}"; do
  format=${entry%%:*} file=${entry#*:}
  record "$format-age" "$format" "$file" --age "$age"
  record "$format-several" "$format" "$file" --age "$several"
  record "$format-ssh_ed25519" "$format" "$file" --age "$ed25519"
  record "$format-ssh_rsa" "$format" "$file" --age "$rsa"
  record "$format-ssh_to_age" "$format" "$file" --age "$converted"
  record "$format-recipients" "$format" "$file" --age "$(public keys/stranger.txt),$ed25519,$age"
  record "$format-mac_only_encrypted" "$format" "$file" --age "$age" --mac-only-encrypted
  [ "$format" = binary ] && continue
  record "$format-unencrypted_suffix" "$format" "$file" --age "$age" --unencrypted-suffix _secret
  record "$format-encrypted_suffix" "$format" "$file" --age "$age" --encrypted-suffix _secret
  record "$format-encrypted_regex" "$format" "$file" --age "$age" --encrypted-regex '(?i)^(db_)?pass\w*$|[_]secret$'
  record "$format-unencrypted_regex" "$format" "$file" --age "$age" --unencrypted-regex '^(user|port|DB_.*)$'
  record "$format-unencrypted_comment_regex" "$format" "$file" --age "$age" --unencrypted-comment-regex '^ (plain|who|several)'
  record "$format-encrypted_comment_regex" "$format" "$file" --age "$age" --encrypted-comment-regex '^ (plain|who|several)'
  record "$format-mac_only_suffix" "$format" "$file" --age "$age" --encrypted-suffix _secret --mac-only-encrypted
done
groups() { # THRESHOLD RECIPIENT...
  echo "creation_rules:"; echo "  - shamir_threshold: $1"; shift; echo "    key_groups:"
  for recipient; do echo "      - age: ['$recipient']"; done
}
for entry in "${files[@]}"; do
  format=${entry%%:*} file=${entry#*:}
  groups 2 "$age" "$several" "$ed25519" > "$scratch/rules.yaml"
  cp "$file" "$scratch/input"
  (cd "$scratch" && sops --config rules.yaml --disable-version-check --encrypt --input-type "$format" --output-type "$format" input) > "cases/$format-key_groups.sops"
  sops --config /dev/null --disable-version-check --decrypt --input-type "$format" --output-type "$format" "cases/$format-key_groups.sops" > "cases/$format-key_groups.plain"
done

# One stack's variables, for the benchmark.
record keys22-dotenv dotenv plain/keys22.env --age "$age"
# A spec that is encrypted itself.
record compose-yaml yaml plain/compose.yaml --age "$age"
# Small ones, in which each byte is changed in turn.
for entry in yaml:plain/small.yaml json:plain/small.json dotenv:plain/small.env ini:plain/small.ini binary:plain/small.bin; do
  record "small-${entry%%:*}" "${entry%%:*}" "${entry#*:}" --age "$age"
done
# Documents that nobody would write.
COMPOSE_AGENT_RECORD=$PWD/cases COMPOSE_AGENT_CASES=12 cargo test --quiet --package specs --test secrets_peers what_sops

# A plugin's recipient (bech32 of `test` under `age1null`); the plugin is the script beside them.
PATH=$PWD/plugin:$PATH
age --encrypt --recipient age1null1w3jhxaq5ccrwp plain/small.env > plugin/small.age
sops --config /dev/null --disable-version-check --encrypt --input-type dotenv --output-type dotenv --age age1null1w3jhxaq5ccrwp plain/small.env > plugin/small.sops

# Files that only a key service opens: a PGP key that nobody keeps.
gpg --batch --quiet --passphrase '' --quick-generate-key nobody@example.org default default never 2>/dev/null
pgp=$(gpg --list-keys --with-colons | awk -F: '/^fpr/ {print $10; exit}')
sops --config /dev/null --disable-version-check --encrypt --input-type dotenv --output-type dotenv --pgp "$pgp" plain/app.env > cases/pgp-only.sops
sops --config /dev/null --disable-version-check --encrypt --input-type yaml --output-type yaml --pgp "$pgp" --age "$(public keys/stranger.txt)" plain/app.yaml > cases/pgp-or-stranger.sops
sops --config /dev/null --disable-version-check --encrypt --input-type yaml --output-type yaml --age "$(public keys/stranger.txt)" plain/app.yaml > cases/stranger.sops

# Whole files, as agenix has them.
for kind in age several ed25519 rsa converted; do
  age --encrypt --recipient "${!kind}" plain/blob.bin > "cases/whole-$kind.age"
  age --encrypt --armor --recipient "${!kind}" plain/app.env > "cases/whole-$kind-armor.age"
done
age --encrypt --recipient "$(public keys/stranger.txt)" plain/blob.bin > cases/whole-stranger.age
echo "recorded $(find cases -type f | wc -l) files with $(sops --version --disable-version-check | head -1), age $(age --version)"
