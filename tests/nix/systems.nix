# Whole systems, built for real: hosts of the homelab example, and generations to switch between.
{
  lib,
  docker ? null,
  secrets ? null,
}:
let
  inherit (import ./evaluate.nix { inherit lib; }) evaluate home;
  user =
    (home [
      {
        services.compose-agent = {
          enable = true;
          stacks.web.compose = ./fixtures/docker-compose.yml;
        };
      }
    ]).config;
  toplevel = modules: (evaluate modules).config.system.build.toplevel;
  homelab =
    host:
    toplevel [
      (import (../../systemd/nixos/examples/homelab + "/${host}.nix") { inherit docker secrets; })
    ];
  generation =
    motd: image:
    toplevel [
      {
        services.compose-agent = {
          enable = true;
          docker.socket = "/nonexistent/docker.sock";
          stacks.web = {
            compose.services.web = {
              inherit image;
              volumes = [ "./motd:/etc/motd:ro" ];
            };
            files.motd.text = motd;
          };
          stacks.db.compose.services.db.image = "postgres:17";
        };
      }
    ];
  # What tests/tests/store.rs switches between: each file is mounted by a container.
  stored =
    motd: stacks:
    toplevel [
      {
        services.compose-agent = {
          enable = true;
          stacks = lib.mapAttrs (_: image: {
            update.monitor = "1s";
            compose.services.web = {
              inherit image;
              restart = "always";
              volumes = [ "./motd:/etc/motd:ro" ];
            };
            files.motd.text = motd;
          }) stacks;
        };
      }
    ];
  recorded = (evaluate [ ./recorded/example.nix ]).config;
in
{
  doc1 = homelab "doc1";
  igpu = homelab "igpu";
  epi = homelab "epi";
  # Its files are all there, and its data is not.
  unready = toplevel [
    {
      services.compose-agent = {
        enable = true;
        docker.socket = "/nonexistent/docker.sock";
        stacks.web.compose.services.web = {
          image = "nginx:1.28";
          volumes = [
            {
              type = "bind";
              source = "/nonexistent/data";
              target = "/data";
              bind.create_host_path = false;
            }
          ];
        };
      };
    }
  ];
  first = generation "one" "nginx:1.28";
  second = generation "two" "nginx:1.28";
  storedOne = stored "one" {
    web = "standin:1";
    failing = "standin:1";
    leaving = "standin:1";
  };
  storedTwo = stored "two" {
    web = "standin:1";
    # It cannot be pulled, so that the container before it is kept.
    failing = "127.0.0.1:1/absent:1";
  };
  # What `agentctl check` refuses is no system.
  broken = toplevel [
    {
      services.compose-agent.enable = true;
      services.compose-agent.stacks.web.compose.services.web.imag = "nginx";
    }
  ];
  recorded = toplevel [ ./recorded/example.nix ];
  inherit (recorded.system.build) units;
  gpu = toplevel [ ../../systemd/nixos/examples/gpu.nix ];
  wsl2 = toplevel [ ../../systemd/nixos/examples/wsl2.nix ];
  homeExample = (home [ ../../systemd/nixos/examples/home.nix ]).config.generation;
  # A user's: the generation is the profile.
  home = user.generation;
  userUnit = user.systemd.user.services.compose-agent;
  scripts = {
    inherit (recorded.system) preSwitchChecks activationScripts;
  };
}
