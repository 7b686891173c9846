# Sourced by run: the homelab example against the compose files and units that it stands for, where they are at hand.
# shellcheck shell=bash disable=SC2154
corpus=${COMPOSE_AGENT_HOMELAB:-$top/../shared/corpus/homelab-2025-10}
if [ -d "$corpus" ]; then
  docker=$(cd "$corpus" && pwd) secrets=$work/secrets
  mkdir -p "$secrets"
  for name in webdav atuin kopia paperless immich invoices caddy jellyfin; do
    folder=$(case $name in webdav) echo WebDav ;; caddy) echo tailscale/caddy ;; jellyfin) echo jellyfinn ;; *) echo "$name" ;; esac)
    # A value for each variable that the compose file asks for.
    { sed -e '/^ *#/d' -e 's/\$\$//g' "$docker/$folder/docker-compose.yml" | grep -oE '\$\{?[A-Z_]+' || true; } | tr -d '${' | sort -u |
      while IFS= read -r key; do
        case $key in *LOCATION) echo "$key=/mnt/docker/${key,,}" ;; *) echo "$key=value-of-${key,,}" ;; esac
      done > "$secrets/$name.env"
  done
  printf 'NGINX_PORT=80\nWEB_APP_PORT=3000\n' > "$secrets/netboot.env"
  compared=0
  for host in doc1 igpu epi; do
    system=$(build "$host")
    for folder in "$system"/etc/compose-agent/*/; do
      stack=$(basename "$folder")
      path=$(case $stack in stirlingpdf) echo StirlingPDF ;; webdav) echo WebDav ;; caddy) echo tailscale/caddy ;;
        epi_management | igpu) echo "management/$stack" ;; epi) echo tdarr/epi ;; *) echo "$stack" ;; esac)
      env=$secrets/${stack/jellyfinn/jellyfin}.env; [ -e "$env" ] || env=/dev/null
      original=$work/original/$stack; mkdir -p "$original"
      cp -r --no-preserve=mode "$docker/$path/." "$original"
      # The file that git ignored there.
      cp "$env" "$original/.env"
      (cd "$original" && "$agentctl" config -p "$stack" --format json --show-secrets) | jq -S . | sed "s#$original#STACK#g" > "$work/$stack.was.json"
      (cd "$folder" && "$agentctl" config -p "$stack" --format json --show-secrets) | jq -S 'del(."x-agent")' | sed "s#${folder%/}#STACK#g" > "$work/$stack.is.json"
      diff "$work/$stack.was.json" "$work/$stack.is.json" > "$work/$stack.diff" || true
      # Only these differ, as the example says why.
      case $stack in
        immich) expected='build|context|dockerfile|image.*caddy-cloudflare|^[<>] *[{}],?$' ;;
        jellyfinn) expected='"source": "(STACK|/home/abl030/nixosconfig/docker/jellyfinn)/inotify-recv.sh"' ;;
        *) expected='nothing differs' ;;
      esac
      if grep '^[<>]' "$work/$stack.diff" | grep -vE "$expected"; then fail "homelab: $stack differs from what it was"; fi
      case $stack in immich | jellyfinn) [ -s "$work/$stack.diff" ] || fail "homelab: $stack does not differ" ;; esac
      compared=$((compared + 1))
    done
  done
  [ "$compared" = 20 ] || fail "homelab: $compared stacks instead of 20"
  ok "20 stacks of the homelab mean what they meant"

  # Each is shorter than the unit that it stands for: the longest of them against the shortest of those.
  shortest=$(cd "$docker" && wc -l */docker-compose.nix */*/docker?compose.nix | grep -v total | sort -n | awk 'NR==1 {print $1}')
  for host in doc1 igpu epi; do
    awk -v most="$shortest" '/^      [a-z_]+(\.| = )/ { name = $1; sub(/\..*/, "", name); lines[name]++; inside = name; next }
      /^    };/ { inside = "" } inside != "" && NF { lines[inside]++ }
      END { for (name in lines) if (lines[name] >= most) { print name ": " lines[name] " lines, a unit has " most; bad = 1 } exit bad }' \
      "$top/systemd/nixos/examples/homelab/$host.nix" || fail "homelab: a stack is longer than the unit it replaces"
  done
  ok "each is shorter than the shortest unit was ($shortest lines)"
  docker= secrets=
else
  echo "tests/nix: NOT compared with the homelab's own files: COMPOSE_AGENT_HOMELAB is not set"
fi
