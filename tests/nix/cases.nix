# What must hold of the module: { NAME = { ok, why }; … }. Each refusal stands beside a control that differs in one thing.
{ lib }:
let
  nixos = import ./evaluate.nix { inherit lib; };
  inherit (nixos) evaluate pkgs;
  base = {
    services.compose-agent.enable = true;
    services.openssh.enable = true;
  };
  of =
    module:
    (evaluate [
      base
      (if module ? _type then { config = module; } else module)
    ]).config;
  stack = name: value: { services.compose-agent.stacks.${name} = value; };
  web =
    extra:
    stack "web" ({
      compose.services.web = {
        image = "nginx";
      }
      // extra;
    });
  two =
    one: other:
    lib.mkMerge [
      (stack "one" one)
      (stack "two" other)
    ];
  service = extra: {
    compose.services.web = {
      image = "nginx";
    }
    // extra;
  };

  builds =
    module:
    let
      result = builtins.tryEval (of module).system.build.toplevel.drvPath;
    in
    {
      ok = result.success;
      why = "was refused";
    };
  # By an assertion, whose words are looked at; not by anything else that might be wrong with it.
  asserts =
    words: module:
    let
      failed = map (one: one.message) (lib.filter (one: !one.assertion) (of module).assertions);
    in
    {
      ok = lib.length failed == 1 && lib.hasInfix words (lib.head failed);
      why = "the assertions that failed: ${builtins.toJSON failed}";
    };
  # By the type of an option.
  rejects =
    path: module:
    let
      whole = of module;
      result = builtins.tryEval (builtins.deepSeq (lib.getAttrFromPath path whole) true);
    in
    {
      ok = !result.success;
      why = "was taken";
    };
  takes =
    path: module:
    let
      result = builtins.tryEval (builtins.deepSeq (lib.getAttrFromPath path (of module)) true);
    in
    {
      ok = result.success;
      why = "was refused";
    };
  holds = ok: why: { inherit ok why; };
  agent = [
    "services"
    "compose-agent"
  ];
  inStack =
    path:
    agent
    ++ [
      "stacks"
      "web"
    ]
    ++ path;

  # Every option's example, set where the option is.
  documented = lib.filter (
    option: lib.hasPrefix "services.compose-agent" option.name && !option.internal
  ) (lib.optionAttrSetToDocList (evaluate [ ]).options);
  value =
    example:
    if example._type or "" == "literalExpression" then
      import (builtins.toFile "example.nix" "{ pkgs, lib }: ${
        lib.replaceStrings [ "./" ] [ "${toString ./.}/fixtures/" ] example.text
      }") { inherit pkgs lib; }
    else
      example;
  placed =
    option:
    let
      parts = map (
        part:
        if lib.hasPrefix "<" part then
          "web"
        else if part == "*" then
          "0"
        else
          part
      ) option.loc;
      inList = lib.elem "*" option.loc;
    in
    {
      inherit parts inList;
    };
  exampleCases = lib.listToAttrs (
    lib.concatMap (
      option:
      let
        at = placed option;
        module = lib.setAttrByPath at.parts (value option.example);
        # A side file has either a source or a text, a mount has a path: the rest of what the example stands in.
        rest =
          if lib.hasInfix ".files.<name>.executable" option.name then
            (lib.setAttrByPath ((lib.init at.parts) ++ [ "text" ]) "x")
          else
            { };
        withCompose = lib.optionalAttrs (!lib.hasInfix "stacks.<name>.compose" option.name) (web { });
      in
      [
        {
          name = "documented: ${option.name}";
          value = holds (
            (option ? example) && (option.description or null) != null
          ) "no example or no description";
        }
      ]
      ++ lib.optional (option ? example && !at.inList && option.name != "services.compose-agent.enable") {
        name = "example: ${option.name}";
        value = builds (
          lib.mkMerge [
            withCompose
            rest
            module
          ]
        );
      }
    ) documented
  );

  unit = (of (web { })).system.build.units."compose-agent.service";
  # The whole system of a module, for the other architecture, and a user's.
  arm = import ./evaluate.nix {
    inherit lib;
    system = "aarch64-linux";
  };
  exampleOf = name: ../../systemd/nixos/examples + "/${name}.nix";
  changed =
    tag:
    of (
      lib.mkMerge [
        (web { })
        (stack "other" (
          service { }
          // {
            files."a".text = tag;
            files."b".text = "same";
          }
        ))
      ]
    );
  filesOf =
    config:
    lib.mapAttrs (_: entry: "${entry.source}") (
      lib.filterAttrs (name: _: lib.hasPrefix "compose-agent/" name) config.environment.etc
    );
  differ = lib.attrNames (
    lib.filterAttrs (name: path: path != (filesOf (changed "1")).${name}) (filesOf (changed "2"))
  );
in
exampleCases
// {
  "a stack needs a compose file" = asserts "compose is not set" (stack "web" { });
  "control: a stack with one" = builds (web { });
  "the check before a switch is told the Engine, the keys and what is done, and ends the switch" =
    holds
      (
        let
          script =
            (of (
              lib.mkMerge [
                (web { })
                { services.compose-agent.keys.sops = pkgs.sops; }
              ]
            )).system.preSwitchChecks.compose-agent;
        in
        lib.all (words: lib.hasInfix words script) [
          "agentctl preflight '--docker-host=unix:///run/docker.sock' '--age-key="
          "--verb=\"\${2-\${NIXOS_ACTION-switch}}\" \"\${1-}\""
          "exit 1"
          "sops/bin:"
        ]
      )
      "another script";
  "no check before a switch where it is not wanted, or where there is nothing to check" = holds (
    (of (
      lib.mkMerge [
        (web { })
        { services.compose-agent.preSwitchCheck = false; }
      ]
    )).system.preSwitchChecks == { }
    && (of { }).system.preSwitchChecks == { }
  ) "there is one";
  "one project name for two stacks is refused" =
    asserts "the project name web is claimed by one and by two"
      (two (service { } // { project = "web"; }) (service { } // { compose.name = "web"; }));
  "control: two project names" = builds (two (service { } // { project = "web"; }) (service { }));
  "names that Compose makes the same are refused" = asserts "the project name web" (
    lib.mkMerge [
      (stack "Web" (service { }))
      (stack "web" (service { }))
    ]
  );
  "one container name in two stacks is refused" =
    asserts "the container name proxy is claimed by one (service web)"
      (
        two (service { container_name = "proxy"; }) (service {
          container_name = "proxy";
        })
      );
  "control: two container names" = builds (
    two (service { container_name = "proxy"; }) (service {
      container_name = "proxy2";
    })
  );
  "control: one in a stack that is not enabled" = builds (
    two (service { container_name = "proxy"; }) (
      service { container_name = "proxy"; } // { enable = false; }
    )
  );
  "one host port in two stacks is refused" =
    asserts "the host port 8080/tcp is claimed by one (service web) and by two"
      (
        two (service { ports = [ "8080:80" ]; }) (service {
          ports = [ "127.0.0.1:8080:81/tcp" ];
        })
      );
  "control: the other protocol" = builds (
    two (service { ports = [ "8080:80" ]; }) (service {
      ports = [ "8080:80/udp" ];
    })
  );
  "control: two addresses" = builds (
    two (service { ports = [ "127.0.0.1:8080:80" ]; }) (service {
      ports = [ "127.0.0.2:8080:80" ];
    })
  );
  "control: only the container's port is the same" = builds (
    two
      (service {
        ports = [
          "80"
          443
          "8080:80"
        ];
      })
      (service {
        ports = [
          "80"
          443
          "8081:80"
        ];
      })
  );
  "a host port in a range and in the long form is refused" = asserts "the host port 8081/udp" (
    two (service { ports = [ "8080-8082:80-82/udp" ]; }) (service {
      ports = [
        {
          target = 1;
          published = "8081";
          protocol = "udp";
        }
      ];
    })
  );
  "control: beside the range" = builds (
    two (service { ports = [ "8080-8082:80-82/udp" ]; }) (service {
      ports = [
        {
          target = 1;
          published = 8083;
          protocol = "udp";
        }
      ];
    })
  );
  "two files of one name are refused" = asserts "several files are called immich.env" (
    stack "web" (
      service { }
      // {
        files."immich.env".text = "";
        secrets.env = [ ./fixtures/immich.env ];
      }
    )
  );
  "control: two names" = builds (
    stack "web" (
      service { }
      // {
        files."other.env".text = "";
        secrets.env = [ ./fixtures/immich.env ];
      }
    )
  );
  "a file outside of the stack is refused" = asserts "not inside the stack's folder: ../x" (
    stack "web" (service { } // { files."../x".text = ""; })
  );
  "control: one in a folder of it" = builds (
    stack "web" (service { } // { files."conf/x".text = ""; })
  );
  "a file of no content is refused" = asserts "set either source or text of x" (
    stack "web" (service { } // { files.x = { }; })
  );
  "a variable of no name is refused" = asserts "not the names of variables: 1 x" (
    stack "web" (service { } // { env."1 x" = ""; })
  );
  "control: a variable with a name" = builds (stack "web" (service { } // { env.x1 = ""; }));
  "a stack of an odd name is refused" = asserts "a stack's name has letters" (
    stack "a b" (service { })
  );

  "a key in the store is refused" =
    rejects
      (
        agent
        ++ [
          "keys"
          "age"
        ]
      )
      {
        services.compose-agent.keys.age = [ "${builtins.storeDir}/x" ];
      };
  "control: a key outside" =
    takes
      (
        agent
        ++ [
          "keys"
          "age"
        ]
      )
      {
        services.compose-agent.keys.age = [ "/var/lib/x" ];
      };
  "a misspelt setting is refused" = rejects (inStack [ "drift" ]) (
    stack "web" (service { } // { drfit = "report"; })
  );
  "an odd drift policy is refused" = rejects (inStack [ "drift" ]) (
    stack "web" (service { } // { drift = "maybe"; })
  );
  "control: a drift policy" = takes (inStack [ "drift" ]) (
    stack "web" (service { } // { drift = "report"; })
  );
  "an odd span is refused" = rejects (inStack [ "healthDeadline" ]) (
    stack "web" (service { } // { healthDeadline = "soon"; })
  );
  "control: a span" = takes (inStack [ "healthDeadline" ]) (
    stack "web" (service { } // { healthDeadline = "1m30s"; })
  );
  "a function in a compose file is refused" = rejects (inStack [ "compose" ]) (web {
    command = a: a;
  });
  "control: a null in a compose file" = takes (inStack [ "compose" ]) (web {
    environment.A = null;
  });

  "sops-nix's key is found" = holds (lib.hasInfix
    "LoadCredential=compose-agent.key-0:/var/lib/sops-nix/key.txt\nLoadCredential=compose-agent.key-1:/persist/ssh\n"
    (of {
      options.sops.age = lib.mkOption { };
      config.sops.age = {
        keyFile = "/var/lib/sops-nix/key.txt";
        sshKeyPaths = [ "/persist/ssh" ];
      };
    }).system.build.units."compose-agent.service"
  ) "not among the credentials";
  "the ed25519 host key is found, the rsa one is not" = holds (
    lib.hasInfix "LoadCredential=compose-agent.key-0:/etc/ssh/ssh_host_ed25519_key\n" unit
    && !lib.hasInfix "rsa" unit
  ) "credentials";
  "Podman's socket is found" = holds (lib.hasInfix "--docker-host=unix:///run/podman/podman.sock"
    (of { virtualisation.podman.enable = true; }).system.build.units."compose-agent.service"
  ) "the socket";
  "an Engine over the network opens the network" = holds (
    let
      text =
        (of { services.compose-agent.docker.socket = "tcp://10.0.0.2:2375"; })
        .system.build.units."compose-agent.service";
    in
    lib.hasInfix "PrivateNetwork=false" text
    && lib.hasInfix "AF_INET6" text
    && !lib.hasInfix "IPAddressDeny=any" text
  ) "the unit";
  "a directive can be changed" = holds (lib.hasInfix "WatchdogSec=5min"
    (of { systemd.services.compose-agent.serviceConfig.WatchdogSec = "5min"; })
    .system.build.units."compose-agent.service"
  ) "the unit";
  "another side file is another path for itself alone" = holds (
    differ == [ "compose-agent/other/a" ]
  ) (toString differ);
  "defaults are every stack's, and a stack's own word counts more" = holds (
    let
      config = of (
        lib.mkMerge [
          {
            services.compose-agent.defaults = {
              drift = "report";
              healthDeadline = "7m";
              requiresMounts = [ "/mnt/a" ];
              update.order = "stop-first";
              pruneImages = "never";
              registries = {
                "quay.io".identityTokenFile = "/run/secrets/all";
                "ghcr.io".identityTokenFile = "/run/secrets/all";
              };
            };
          }
          (stack "web" (
            service { }
            // {
              drift = "ignore";
              requiresMounts = [ "/mnt/b" ];
              update.rollback = false;
              pruneImages.keepLast = 7;
              registries."ghcr.io" = {
                username = "me";
                passwordFile = "/run/secrets/own#key";
              };
            }
          ))
        ]
      );
      web = config.services.compose-agent.stacks.web;
    in
    web.drift.default == "ignore"
    && web.healthDeadline == "7m"
    &&
      map (mount: mount.path) web.requiresMounts == [
        "/mnt/a"
        "/mnt/b"
      ]
    && web.update.order == "stop-first"
    && web.update.rollback == false
    && web.pruneImages.keepLast == 7
    && web.registries."quay.io".identityTokenFile == "/run/secrets/all"
    && web.registries."ghcr.io".passwordFile == "/run/secrets/own#key"
    && web.registries."ghcr.io".identityTokenFile == null
  ) "not merged";
  "every default is one of a stack, and reaches it" = holds (
    let
      # As the option's own example has it.
      examples =
        lib.mapAttrs (_: option: option.example or (lib.mapAttrs (_: one: one.example) option))
          (import ../../systemd/nixos/stack-options.nix { inherit lib pkgs; }).policy;
      config = of (
        lib.mkMerge [
          { services.compose-agent.defaults = examples; }
          (web { })
        ]
      );
      inherit (config.services.compose-agent) defaults stacks;
    in
    lib.all (name: defaults.${name} != null && stacks.web.${name} == defaults.${name}) (
      lib.attrNames examples
    )
  ) "one does not";
  "each kind of host is a system, for both architectures" = holds (
    lib.all
      (
        host:
        (arm.evaluate [ (exampleOf host) ]).config.system.build.toplevel.system == "aarch64-linux"
        && (evaluate [ (exampleOf host) ]).config.system.build.toplevel.system == "x86_64-linux"
      )
      [
        "gpu"
        "wsl2"
      ]
    && (arm.home [ (exampleOf "home") ]).config.generation.system == "aarch64-linux"
  ) "another platform";
  "a user's Podman and keys are the agent's arguments" = holds (
    let
      command =
        (nixos.home [ (exampleOf "home") ]).config.systemd.user.services.compose-agent.Service.ExecStart;
    in
    lib.hasInfix "--docker-host=unix://%t/podman/podman.sock" command
    && lib.hasInfix "--age-key=/home/me/.config/sops/age/keys.txt" command
    && lib.hasInfix "--profile=/home/me/.local/state/home-manager/gcroots/current-home" command
  ) "another command";
  "both generations of the virtual machine test are systems, and differ in one file" =
    let
      test = import ../../systemd/nixos/test.nix {
        inherit pkgs;
        module = ../../systemd/nixos/module.nix;
      };
      system = modules: (evaluate ([ test.nodes.machine ] ++ modules)).config;
      first = system [ ];
      second = system [ first.specialisation.second.configuration ];
      sources = config: lib.mapAttrs (_: entry: "${entry.source}") config.environment.etc;
      changed = lib.filterAttrs (name: path: (sources first).${name} != path) (sources second);
    in
    holds (
      lib.all (config: lib.all (one: one.assertion) config.assertions) [
        first
        second
      ]
      && lib.attrNames changed == [ "compose-agent/web/motd" ]
      && first.systemd.services ? compose-agent-wait
    ) "they differ in ${toString (lib.attrNames changed)}";
  "no unit where it is not enabled" = holds (
    (evaluate [ { services.compose-agent.stacks.web = service { }; } ]).config.system.build.units == { }
  ) "there is one";
  "a switch waits where that is asked for" = holds (lib.hasInfix
    "agentctl wait --generation /run/current-system --timeout 90s"
    (of {
      services.compose-agent.waitOnSwitch = {
        enable = true;
        timeout = "90s";
      };
    }).system.build.units."compose-agent-wait.service"
  ) "no unit";
  "metrics at a path need no port, and at an address that others reach they are refused" =
    let
      listening = at: of { services.compose-agent.metrics.listen = at; };
      units = (listening "/run/m.sock").system.build.units;
      accepted = at: (builtins.tryEval (listening at).services.compose-agent.metrics.listen).success;
    in
    holds (
      lib.hasInfix "--metrics=unix:/run/m.sock" units."compose-agent.service"
      && !units ? "compose-agent-metrics.socket"
      && accepted "127.0.0.1:9323"
      && accepted "[::1]:9323"
      && !accepted "0.0.0.0:9323"
      && !accepted "192.168.1.2:9323"
    ) "wrong units, or the wrong address";
  "who is told has one way to be told" = asserts "notifications[0]: set one of" {
    services.compose-agent.notifications = [ { } ];
  };
  "one way to be told is taken, and whoever tells may only look" =
    let
      config = of {
        services.compose-agent.notifications = [ { webhookFile = "/run/secrets/webhook"; } ];
      };
      inherit (config.system.build) units;
      has = unit: words: lib.hasInfix words units.${unit};
    in
    holds (
      lib.all (one: one.assertion) config.assertions
      && has "compose-agent.service" "--read-group=compose-agent-read"
      && has "compose-agent-notify.service" "Group=compose-agent-read"
      && has "compose-agent-notify.service" "LoadCredential=webhook-0:/run/secrets/webhook"
      && config.users.groups ? compose-agent-read
    ) "another unit: ${units."compose-agent-notify.service"}";
  "a webhook elsewhere is refused" =
    rejects
      (
        agent
        ++ [
          "notifications"
        ]
      )
      {
        services.compose-agent.notifications = [ { webhook = "http://192.168.1.2/"; } ];
      };
  "secrets without a key are warned of" = holds (
    (evaluate [
      {
        services.compose-agent = {
          enable = true;
          stacks.web = service { } // {
            secrets.env = [ "/run/x.env" ];
          };
        };
      }
    ]).config.warnings != [ ]
    && (of (web { })).warnings == [ ]
  ) "no warning, or one too many";
}
