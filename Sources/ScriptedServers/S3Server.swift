// Somebody else's server of the S3 protocol for tests, in a folder of its own.

import Base

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// moto's S3 server (PyPI, Tests/requirements.txt) on a free port of the loopback, with a bucket and two users of it. It checks
/// signatures with botocore's own code. It ends with the process that started it, however that ends.
public final class S3Server: Sendable {
  public let bucket = "parley-objects"
  public let port: Int
  /// `http://127.0.0.1:PORT`
  public let endpoint: String
  /// Of a user who may do everything.
  public let accessKeyID: String
  public let secretAccessKey: String
  /// Of a user who may do nothing.
  public let strangersAccessKeyID: String
  public let strangersSecret: String
  private let folder: String

  /// - Parameter tlsFolder: holds `server.pem` and `server.key`; only TLS is spoken then.
  public init(tlsFolder: String? = nil) throws {
    let answer = try Shell.run(
      """
      python="${PARLEY_TEST_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/parley/venv}/bin/python"
      "$python" -c 'import moto' 2>/dev/null || { echo "moto is missing: run scripts/setup --test"; exit 1; }
      folder=$(mktemp -d)
      cat >"$folder/server.py" <<'PYTHON'
      \(Self.program)
      PYTHON
      # Every request is checked from the first on; no credentials of this machine are looked for.
      INITIAL_NO_AUTH_ACTION_COUNT=0 AWS_EC2_METADATA_DISABLED=true MOTO_CALL_RESET_API=false \\
        setsid "$python" "$folder/server.py" "$folder" \(bucket) \(getpid()) \(tlsFolder ?? "") \\
        >"$folder/log" 2>&1 </dev/null &
      for i in $(seq 1 1200); do
        if [ -s "$folder/ready" ]; then cat "$folder/ready"; echo " $folder"; exit 0; fi
        kill -0 $! 2>/dev/null || break
        sleep 0.05
      done
      cat "$folder/log"
      exit 1
      """)
    let words = answer.split(separator: " ").map(String.init)
    guard words.count == 6, let port = Int(words[0]) else { throw ProgramFailed(description: answer) }
    self.port = port
    (accessKeyID, secretAccessKey, strangersAccessKeyID, strangersSecret) = (words[1], words[2], words[3], words[4])
    folder = words[5]
    endpoint = "\(tlsFolder == nil ? "http" : "https")://127.0.0.1:\(port)"
  }

  deinit { stop() }

  /// What `storage.objects` says of it.
  public func url(prefix: String = "") -> String {
    "s3://\(bucket)\(prefix.isEmpty ? "" : "/" + prefix)?endpoint=\(endpoint)&region=us-east-1&path_style=true"
  }

  /// Ends it.
  public func stop() { _ = try? Shell.run("kill -9 $(cat '\(folder)/pid'); rm -rf '\(folder)'") }

  private static let program = """
    from json import dumps
    from os import _exit, getpid, kill, rename
    from sys import argv
    from threading import Thread
    from time import sleep

    from moto.iam.models import iam_backends
    from moto.s3.models import s3_backends
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    folder, bucket, parent = argv[1], argv[2], int(argv[3])
    tls = (argv[4] + "/server.pem", argv[4] + "/server.key") if len(argv) > 4 else None
    account = "123456789012"
    iam = iam_backends[account]["aws"]
    keys = []
    for name, effect in [("parley", "Allow"), ("stranger", "Deny")]:
        iam.create_user("us-east-1", name)
        statement = {"Effect": effect, "Action": "s3:*", "Resource": "*"}
        iam.put_user_policy(name, "policy", dumps({"Version": "2012-10-17", "Statement": [statement]}))
        key = iam.create_access_key(name)
        keys += [key.access_key_id, key.secret_access_key]
    s3_backends[account]["aws"].create_bucket(bucket, "us-east-1")
    server = make_server(
        "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, ssl_context=tls)

    def watch():
        while True:
            try:
                kill(parent, 0)
            except OSError:
                _exit(0)
            sleep(1)

    Thread(target=watch, daemon=True).start()
    with open(folder + "/pid", "w") as file:
        file.write(str(getpid()))
    with open(folder + "/ready.part", "w") as file:
        file.write(" ".join([str(server.server_port)] + keys))
    rename(folder + "/ready.part", folder + "/ready")
    server.serve_forever()
    """
}
