# Sourced by run: systems as store paths are switched, rolled back and collected as NixOS does it.
# shellcheck shell=bash disable=SC2154
first=$(build first) second=$(build second)
[ "$first" != "$second" ] || fail "two generations are one path"
profile=/nix/var/nix/profiles/system
mkdir -p "$work/run"
current=$work/run/current-system
# As `ln -sfn` of coreutils does it: a new link is renamed over the old one.
activate() { ln -s "$(readlink -f "$profile")" "$current.new" && mv -T "$current.new" "$current"; }
stacks() { "$agentctl" config -f "$(readlink -f "$current")/etc/compose-agent/web/compose.yaml" --format json | jq -r '.services.web.volumes[0].source' | xargs cat; }
nix-env --quiet --profile "$profile" --set "$first" && activate
"$agentctl" check "$current"
[ "$(stacks)" = one ] || fail "the first generation's file"
nix-env --quiet --profile "$profile" --set "$second" && activate
[ "$(stacks)" = two ] || fail "the second generation's file"
# A changed side file moves itself alone.
same() { [ "$(readlink -f "$first/etc/compose-agent/$1")" = "$(readlink -f "$second/etc/compose-agent/$1")" ]; }
if same web/motd; then fail "the changed file has the old path"; fi
same web/compose.yaml && same db/compose.yaml || fail "an unchanged file has another path"
ok "a switch swaps the link, and moves the changed file alone"
nix-env --quiet --profile "$profile" --rollback && activate
[ "$(stacks)" = one ] || fail "rolled back to the wrong generation"
ok "a rollback leads back"
kept=$(readlink -f "$second/etc/compose-agent/web/motd")
mkdir -p /nix/var/nix/gcroots/compose-agent; ln -s "$kept" /nix/var/nix/gcroots/compose-agent/motd
nix-env --quiet --profile "$profile" --delete-generations old
nix-store --gc >/dev/null 2>&1
[ -e "$first/etc/compose-agent/web/motd" ] || fail "the current system was collected"
[ ! -e "$second" ] || fail "the deleted generation is still there"
[ -e "$kept" ] || fail "a file with a root was collected"
rm /nix/var/nix/gcroots/compose-agent/motd; nix-store --gc >/dev/null 2>&1
[ ! -e "$kept" ] || fail "a file without a root is still there"
ok "the collector takes the old generation, and a file that a container mounts only without its root"

# The check before a switch, as NixOS calls it: with the incoming system and what is done with it, or with the former alone.
unready=$(build unready)
check() { said=$(NIXOS_ACTION=${3:-} bash "$1/pre-switch-checks" "$1" ${2:+"$2"} 2>&1); }
check "$first" switch || fail "a system that can come up is refused: $said"
if check "$unready" switch; then fail "a system that cannot come up is let through"; fi
grep -q "compose.yaml:1:.*services.web.volumes.0.: /nonexistent/data does not exist" <<< "$said" || fail "it does not say why: $said"
grep -q "NIXOS_NO_CHECK=1" <<< "$said" || fail "it does not say how to go on: $said"
if check "$unready" "" test; then fail "the variable is not looked at"; fi
for verb in boot dry-activate; do
  check "$unready" "$verb" || fail "$verb is refused: $said"
  check "$unready" "" "$verb" || fail "$verb of an older release is refused: $said"
  grep -q "/nonexistent/data does not exist" <<< "$said" || fail "$verb says nothing"
done
ok "a switch to what cannot come up is refused, and neither boot nor dry-activate is"
# Nothing of it is kept for what comes after.
rm "$profile" "$profile"-*-link
