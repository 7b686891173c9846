# What does an operator say about one stack? The names are those of `x-agent`, in camel case.
{ lib, pkgs }:
let
  inherit (lib) mkOption types literalExpression;
  json = pkgs.formats.json { };

  inherit (import ./types.nix { inherit lib; }) absolute duration optional;
  driftAction = types.enum [
    "correct"
    "report"
    "ignore"
  ];
  secretChange = types.strMatching "recreate|restart|none|signal:[A-Z0-9+]+" // {
    description = "one of recreate, restart, none, signal:NAME";
  };

  compose = types.submodule {
    freeformType = json.type;
    options.services = mkOption {
      type = types.attrsOf (types.submodule { freeformType = json.type; });
      default = { };
      example = {
        web.image = "nginx:1.29";
      };
      description = "The services, with the keys of the Compose Specification.";
    };
  };

  sideFile = types.coercedTo types.path (source: { inherit source; }) (
    types.submodule {
      options = {
        source = optional types.path (literalExpression "./Caddyfile") "The file.";
        text = optional types.lines "auto_https off\n" "What is in the file.";
        executable = mkOption {
          type = types.bool;
          default = false;
          example = true;
          description = "Whether a file given as {option}`text` may be executed.";
        };
      };
    }
  );

  mount = types.coercedTo absolute (path: { inherit path; }) (
    types.submodule {
      options = {
        path = mkOption {
          type = absolute;
          example = "/mnt/data";
          description = "A path that must lie on a mounted file system.";
        };
        type = optional types.str "nfs4" "The file system's type; any where null.";
        optional = mkOption {
          type = types.bool;
          default = false;
          example = true;
          description = "Reported where it is missing, and not waited for.";
        };
      };
    }
  );

  folder = types.submodule {
    options = {
      owner =
        optional (types.either types.str types.ints.unsigned) "postgres"
          "The owner, by name or number.";
      group = optional (types.either types.str types.ints.unsigned) 999 "The group, by name or number.";
      mode = optional (types.strMatching "0?[0-7]{3,4}") "0750" "Permission bits, octal.";
    };
  };

  pruning = types.submodule {
    options = {
      olderThan = optional duration "720h" "How long an image must have been unused; a week where null.";
      keepLast =
        optional types.ints.unsigned 1
          "How many unused images of each repository are kept at any age; two where null.";
    };
  };

  login = types.submodule {
    options = {
      username = optional types.str "me" "The user's name.";
      passwordFile =
        optional types.path "/run/secrets/all.yaml#ghcr/token"
          "The file with the password or the access token, encrypted or not; `#` and a path for one key of it.";
      identityTokenFile =
        optional types.path "/run/secrets/quay"
          "The file with an identity token, instead of both.";
    };
  };
in
{
  # Those that `services.compose-agent.defaults` has, too.
  policy = {
    requiresMounts = mkOption {
      type = types.listOf mount;
      default = [ ];
      example = [
        "/mnt/data"
        {
          path = "/mnt/media";
          type = "fuse.mergerfs";
        }
      ];
      description = ''
        Mounts to wait for. A service that binds something below one of them is not started, and nothing is written into
        the empty mount point, until it is there.
      '';
    };
    drift = mkOption {
      type = types.nullOr (
        types.coercedTo driftAction (default: { inherit default; }) (
          types.submodule {
            options = {
              default = optional driftAction "correct" "Where nothing else is said.";
              kinds = mkOption {
                type = types.attrsOf driftAction;
                default = { };
                example = {
                  stopped = "report";
                };
                description = "By the kind of the difference.";
              };
              services = mkOption {
                type = types.attrsOf driftAction;
                default = { };
                example = {
                  scratch = "ignore";
                };
                description = "By service.";
              };
              ignore = mkOption {
                type = types.listOf types.str;
                default = [ ];
                example = [ "environment.TZ" ];
                description = "Fields that never count.";
              };
            };
          }
        )
      );
      default = null;
      example = "report";
      description = "What is done about differences between what is declared and what runs; `correct` where null.";
    };
    update = {
      keepOld =
        optional types.bool false
          "Whether the old container is kept, stopped, until the new one has proven itself.";
      order =
        optional
          (types.enum [
            "auto"
            "start-first"
            "stop-first"
          ])
          "stop-first"
          "Which of the two runs first; `auto`: the new one, where nothing stands against two at a time.";
      monitor =
        optional duration "30s"
          "How long a container without a health check must stay up to count as proven.";
      rollback =
        optional types.bool false
          "Whether the old one is started again where the new one fails.";
    };
    pruneImages = mkOption {
      type = types.nullOr (types.either (types.enum [ "never" ]) pruning);
      default = null;
      example = {
        olderThan = "720h";
        keepLast = 1;
      };
      description = ''
        When images that the agent brought, and that nothing declares or runs any more, are removed: `never`, or once
        they have been unused for `olderThan` (a week where null) and are not among the last `keepLast` (two where null)
        of their repository.
      '';
    };
    checkRegistry =
      optional (types.either (types.enum [ "never" ]) duration) "24h"
        "How often the registry is asked whether a tag means another image there, which is reported; never where null.";
    registries = mkOption {
      type = types.attrsOf login;
      default = { };
      example = {
        "ghcr.io" = {
          username = "me";
          passwordFile = "/run/secrets/ghcr";
        };
      };
      description = ''
        Logins by registry. A Nix path is brought along, as the ciphertext that it is; an absolute path in a string is
        read on the host.
      '';
    };
    healthDeadline =
      optional duration "5m"
        "How long a container may be `starting` before that is reported.";
    unsetVariables = optional (types.enum [
      "warn"
      "error"
    ]) "error" "What a `\${VAR}` without a value is.";
    removeOrphans =
      optional types.bool false
        "Whether containers of services that are no longer declared are removed.";
  };

  stack = {
    enable = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether this stack is declared. One that is not is taken down; its volumes stay.";
    };
    project = mkOption {
      type = types.nullOr (types.strMatching "[a-z0-9][a-z0-9_-]*");
      default = null;
      example = "jellyfin";
      description = "The Compose project's name, where it is neither the stack's nor the compose file's.";
    };
    compose = mkOption {
      type = types.nullOr (
        types.either types.path (types.either (types.nonEmptyListOf types.path) compose)
      );
      default = null;
      example = {
        services.web = {
          image = "nginx:1.29";
          ports = [ "8080:80" ];
        };
      };
      description = ''
        The compose file; or several, merged in their order; or its content as Nix values. In the last case write
        `\''${VAR}` for what the agent is to interpolate.
      '';
    };
    env = mkOption {
      type = types.attrsOf (types.either types.str types.int);
      default = { };
      example = {
        IMMICH_VERSION = "v1.140.0";
      };
      description = "Variables for `\${…}` in the compose file. In the store, for everybody to read.";
    };
    secrets = {
      env = mkOption {
        type = types.listOf types.path;
        default = [ ];
        example = [ "/run/secrets/immich.env" ];
        description = ''
          Dotenv files with variables for `\''${…}`, encrypted with sops or age. A Nix path is brought along, as the
          ciphertext that it is; an absolute path in a string is read on the host.
        '';
      };
      files = mkOption {
        type = types.attrsOf types.path;
        default = { };
        example = literalExpression "{ \"tls.key\" = ./tls.key; }";
        description = ''
          Encrypted files by the names that they get beside the compose file. `./NAME` in the compose file gives a
          container the plaintext; where {option}`compose` is Nix values, each is a Compose secret `NAME`, too.
        '';
      };
      onChange = mkOption {
        type = types.nullOr (types.either secretChange (types.attrsOf secretChange));
        default = null;
        example = {
          caddy = "signal:SIGHUP";
        };
        description = "What another plaintext does to its consumers, for all or by service; `recreate` where null.";
      };
    };
    files = mkOption {
      type = types.attrsOf sideFile;
      default = { };
      example = {
        "conf/motd".text = "hello";
      };
      description = "Files beside the compose file, by name. Each is a store path of its own: a changed one touches only its consumers.";
    };
    images = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = literalExpression "[ (pkgs.writeText \"archive\" \"\") ]";
      description = "Image archives, as `dockerTools` makes them, that are loaded instead of pulled.";
    };
    ensureDirs = mkOption {
      type = types.attrsOf folder;
      default = { };
      example = {
        "/mnt/docker/db" = {
          owner = 999;
          mode = "0750";
        };
      };
      description = "Folders that are made where they are missing. What is in them is left alone.";
    };
  };
}
