"""Jobs of several ranks, started as ``torchrun`` starts them, by a process that has imported everything already.

python tests/warm_jobs.py: reads a job a line, as JSON (folder, args, ranks, environment), forks its ranks, and answers with
their process numbers; they are its children as those of an agent are. It answers a line ``wait`` with their exit codes.
"""

import atexit
import json
import os
import signal
import socket
import sys
import traceback

from stn_lightning.cli import run

HOST = "127.0.0.1"


def rank_process(job, rank, port):
    if process := os.fork():
        return process
    code = 1
    try:
        os.chdir(job["folder"])
        file = os.open(f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if job["ranks"] > 1:
            where = {"MASTER_ADDR": HOST, "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "warm", "GROUP_RANK": 0}
            counts = {"WORLD_SIZE": job["ranks"], "LOCAL_WORLD_SIZE": job["ranks"], "RANK": rank, "LOCAL_RANK": rank}
            os.environ.update({name: str(value) for name, value in (where | counts).items()})
        os.environ.update(job.get("environment", {}))
        run(job["args"])
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
        print(e.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(code)


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it starts in the background
    ranks = []
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "wait":
            print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in ranks]), flush=True)
        else:
            job = json.loads(line)
            with socket.create_server((HOST, 0)) as free:
                port = free.getsockname()[1]
            ranks = [rank_process(job, rank, port) for rank in range(job["ranks"])]
            print(json.dumps(ranks), flush=True)


if __name__ == "__main__":
    main()
