// Takes every request and answers 204, as cheaply as a receiver of webhooks can. Listens on PORT of loopback.
import http from 'node:http';

http.createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(204).end());
}).listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
