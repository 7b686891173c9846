# Sourced by run: containers of a real Engine have files of the store mounted while generations are switched and collected.
# shellcheck shell=bash disable=SC2154
if command -v dockerd >/dev/null; then
  (build storedOne && build storedTwo) > "$work/systems"
  (cd "$top" && COMPOSE_AGENT_SYSTEMS=$work/systems cargo test --locked --quiet --package tests --test store -- --ignored) || fail "the store under containers"
  ok "a collection leaves every file that a container of a held or a failed stack mounts, and takes it afterwards"
else
  echo "tests/nix: NOT collected under containers: there is no dockerd (Debian: docker.io)"
fi
