# What do the modules of NixOS and Home Manager have in common: which options, and what of them goes into agent.yaml?
{ lib, pkgs }:
let
  inherit (lib) mkOption types literalExpression;
  inherit (import ./types.nix { inherit lib; }) optional privatePath span;

  notification = types.submodule {
    options = {
      command = optional (types.nonEmptyListOf types.str) (literalExpression ''
        [ "''${pkgs.writeText "page-me" ""}" ]
      '') "A program and its arguments; the message is its standard input.";
      webhook =
        optional (types.strMatching "http://(127\\.|localhost|\\[::1])[^ ]*")
          "http://127.0.0.1:8080/message"
          "An address of this machine. What is elsewhere is for {option}`command` and curl.";
      webhookFile =
        optional privatePath "/run/secrets/webhook"
          "A file with such an address, where the address itself is a secret.";
      shape = mkOption {
        type = types.enum [
          "json"
          "gotify"
          "ntfy"
          "slack"
          "matrix"
        ];
        default = "json";
        example = "gotify";
        description = "The form of the message.";
      };
      tokenFile = optional privatePath "/run/secrets/gotify-token" "A file with the token.";
      events = mkOption {
        type = types.listOf (
          types.enum [
            "failed"
            "found"
            "corrected"
            "gone"
            "waiting"
            "done"
            "phase"
            "generation"
            "note"
            "explained"
          ]
        );
        default = [
          "failed"
          "found"
        ];
        example = [ "failed" ];
        description = "Of what is told.";
      };
      stacks = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "immich" ];
        description = "Of which stacks; of all where empty.";
      };
      every = mkOption {
        type = span;
        default = "10s";
        example = "5m";
        description = "At most one message in this time: what happens meanwhile is in the next.";
      };
    };
  };
in
{
  # The Engine's address, as DOCKER_HOST has it, of a socket's path or of an address.
  engine = socket: if lib.hasPrefix "/" socket then "unix://${socket}" else socket;

  # The options of both; `whose` stacks they are about, in words.
  options = whose: {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether Docker Compose stacks of this ${whose} are kept running as they are declared.";
    };
    package = mkOption {
      type = types.package;
      default = pkgs.compose-agent or (pkgs.callPackage ./package.nix { });
      defaultText = literalExpression "pkgs.compose-agent";
      example = literalExpression "pkgs.compose-agent";
      description = "The package of the agent and of agentctl.";
    };
    metrics = {
      listen = optional (types.strMatching "(/|127\\.|\\[::1])[^ ]+") "127.0.0.1:9323" ''
        Where Prometheus collects metrics: a port of this machine, or the path of a Unix socket. Nobody is asked who they
        are, so nothing else can be said here.
      '';
      textFile =
        optional (types.strMatching "/.+\\.prom") "/var/lib/node-exporter/compose-agent.prom"
          "A file in the folder of node_exporter's textfile collector, which must exist.";
    };
    notifications = mkOption {
      type = types.listOf notification;
      default = [ ];
      example = [
        {
          webhook = "http://127.0.0.1:8080/message";
          shape = "gotify";
          tokenFile = "/run/secrets/gotify-token";
        }
      ];
      description = "Who is told of what happens to stacks: docs/notifications.md.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--log-format=json" ];
      description = "More arguments of compose-agent.";
    };
  };

  # As agent.yaml has it. `place` says where a secret file is read from.
  notify =
    place: notifications:
    lib.imap0 (
      index: one:
      lib.filterAttrs (_: value: value != null) {
        inherit (one)
          command
          webhook
          shape
          events
          stacks
          every
          ;
        webhook_file = lib.mapNullable (place "webhook-${toString index}") one.webhookFile;
        token_file = lib.mapNullable (place "token-${toString index}") one.tokenFile;
      }
    ) notifications;

  # The file, where there is anything to say in it.
  agentYaml =
    settings:
    let
      said = lib.filterAttrs (_: value: value != false && value != [ ]) settings;
    in
    if said == { } then null else pkgs.writeText "agent.yaml" (builtins.toJSON said);
}
