# The options of NixOS that the module writes to or reads, typed, and their rendering as systemd reads it.
#
# A stand-in accepts what it was made to accept: names and types follow the NixOS manual, and the rendered units are run by
# tests/systemd-host. What it cannot show is said by tests/nix/run.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  off = mkOption {
    type = types.bool;
    default = false;
  };
  on = mkOption {
    type = types.bool;
    default = true;
  };
  text = mkOption {
    type = types.singleLineStr;
    default = "";
  };
  strings = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  unitNames = mkOption {
    type = types.listOf (
      types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|device|mount|automount|swap|target|path|timer|scope|slice)"
    );
    default = [ ];
  };
  triggers = mkOption {
    type = types.listOf types.unspecified;
    default = [ ];
  };
  atom = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  section = types.attrsOf (types.either atom (types.listOf atom));
  sectionOption = mkOption {
    type = section;
    default = { };
  };
  common = {
    enable = on;
    description = text;
    documentation = strings;
    wantedBy = unitNames;
    requiredBy = unitNames;
    wants = unitNames;
    requires = unitNames;
    after = unitNames;
    before = unitNames;
    conflicts = unitNames;
    unitConfig = sectionOption;
    startLimitIntervalSec = mkOption {
      type = types.nullOr types.int;
      default = null;
    };
    restartTriggers = triggers;
    reloadTriggers = triggers;
  };
  knownType = types.addCheck section (
    found:
    !(found ? Type)
    || lib.elem (found.Type.content or found.Type) [
      "exec"
      "simple"
      "oneshot"
      "notify"
      "notify-reload"
    ]
  );
  required = type: mkOption { inherit type; };

  show = value: if lib.isBool value then lib.boolToString value else toString value;
  directives =
    found:
    lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (key: value: map (one: "${key}=${show one}\n") (lib.toList value)) found
      )
    );
  list = key: value: lib.optionalAttrs (value != [ ]) { ${key} = toString value; };
  trigger =
    key: value:
    lib.optionalAttrs (value != [ ]) { ${key} = "${pkgs.writeText "${key}" (toString value)}"; };
  unitSection =
    unit:
    "[Unit]\n"
    + directives (
      unit.unitConfig
      // lib.optionalAttrs (unit.description != "") { Description = unit.description; }
      // list "Documentation" unit.documentation
      // list "Wants" unit.wants
      // list "Requires" unit.requires
      // list "After" unit.after
      // list "Before" unit.before
      // list "Conflicts" unit.conflicts
      // trigger "X-Restart-Triggers" unit.restartTriggers
      // trigger "X-Reload-Triggers" unit.reloadTriggers
      // lib.optionalAttrs (unit.startLimitIntervalSec != null) {
        StartLimitIntervalSec = unit.startLimitIntervalSec;
      }
    );
  serviceText =
    unit:
    unitSection unit
    + "\n[Service]\n"
    + lib.optionalString (unit.path != [ ]) "Environment=\"PATH=${lib.makeBinPath unit.path}\"\n"
    + lib.optionalString (!unit.stopIfChanged) "X-StopIfChanged=false\n"
    + directives unit.serviceConfig;
  enabled = lib.filterAttrs (_: unit: unit.enable);
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    warnings = strings;
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    environment.etc = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options.source = required types.path;
        }
      );
    };
    systemd.services = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = common // {
            serviceConfig = mkOption {
              type = knownType;
              default = { };
            };
            path = mkOption {
              type = types.listOf types.package;
              default = [ ];
            };
            stopIfChanged = on;
            script = mkOption {
              type = types.lines;
              default = "";
            };
          };
        }
      );
    };
    systemd.package = mkOption {
      type = types.package;
      default = pkgs.writeTextFile {
        name = "systemd";
        text = "";
      };
    };
    systemd.sockets = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = common // {
            listenStreams = strings;
            socketConfig = sectionOption;
          };
        }
      );
    };
    systemd.mounts = mkOption {
      default = [ ];
      type = types.listOf (
        types.submodule {
          options = common // {
            what = required types.str;
            where = required types.str;
            type = text;
            options = text;
          };
        }
      );
    };
    systemd.tmpfiles.rules = strings;
    users.groups = mkOption {
      type = types.attrsOf (types.submodule { });
      default = { };
    };
    specialisation = mkOption {
      type = types.attrsOf (types.submodule { options.configuration = required types.deferredModule; });
      default = { };
    };
    virtualisation.docker.enable = off;
    virtualisation.docker.daemon.settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
    };
    hardware.nvidia-container-toolkit.enable = off;
    wsl.enable = off;
    virtualisation.podman.enable = off;
    services.openssh.enable = off;
    services.openssh.hostKeys = mkOption {
      type = types.listOf types.attrs;
      default = [
        {
          type = "rsa";
          path = "/etc/ssh/ssh_host_rsa_key";
        }
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
    };
    system.checks = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    system.preSwitchChecks = mkOption {
      type = types.attrsOf types.str;
      default = { };
    };
    system.activationScripts = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options.text = required types.lines;
          options.supportsDryActivation = off;
        }
      );
    };
    system.build = mkOption {
      type = types.lazyAttrsOf types.unspecified;
      default = { };
    };
  };

  config.system.build = {
    units =
      lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.service" (serviceText unit)) (
        enabled config.systemd.services
      )
      // lib.mapAttrs' (
        name: unit:
        lib.nameValuePair "${name}.socket" (
          unitSection unit
          + "\n[Socket]\n"
          + directives (unit.socketConfig // { ListenStream = unit.listenStreams; })
        )
      ) (enabled config.systemd.sockets)
      // lib.listToAttrs (
        map (unit: {
          name =
            lib.replaceStrings [ "/" ] [ "-" ] (
              lib.replaceStrings [ "-" ] [ "\\x2d" ] (lib.removePrefix "/" unit.where)
            )
            + ".mount";
          value =
            unitSection unit
            + "\n[Mount]\n"
            + directives {
              What = unit.what;
              Where = unit.where;
              Type = unit.type;
              Options = unit.options;
            };
        }) config.systemd.mounts
      );
    toplevel =
      let
        failed = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
        etc = lib.concatStrings (
          lib.mapAttrsToList (name: entry: ''
            mkdir -p "$out/etc/$(dirname "${name}")"
            ln -s ${entry.source} "$out/etc/${name}"
          '') config.environment.etc
        );
        # Each in a shell of its own, and the first that fails ends it; older releases stop at no command that fails.
        check = name: text: ''
          (
          ${text}
          )
          if [ $? != 0 ]; then echo "Pre-switch check '${name}' failed"; exit 1; fi
        '';
        checks = pkgs.writeTextFile {
          name = "pre-switch-checks";
          text = lib.concatStrings (lib.mapAttrsToList check config.system.preSwitchChecks);
        };
        # What runs at `dry-activate`, in the shell that NixOS runs it in.
        dry = lib.filter (one: one.supportsDryActivation) (lib.attrValues config.system.activationScripts);
        dryActivate = pkgs.writeTextFile {
          name = "dry-activate";
          text = "systemConfig=$1\n" + lib.concatMapStrings (one: one.text) dry;
        };
      in
      if failed != [ ] then
        throw (lib.concatStringsSep "\n" failed)
      else
        pkgs.runCommand "nixos-system" { checks = toString config.system.checks; } ''
          mkdir -p $out/etc
          ${etc}
          ln -s ${checks} $out/pre-switch-checks
          ln -s ${dryActivate} $out/dry-activate
        '';
  };
}
