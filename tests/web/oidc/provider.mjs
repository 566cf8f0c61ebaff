// A real OpenID Connect provider on a port of loopback, for the tests of sign-in: node provider.mjs CONFIG_JSON
// Anybody signs in, by any password; CONFIG says which name and groups each login has.
import { Provider } from 'oidc-provider';

const { port, redirectUri, leftUri, people, everythingInTheIdToken } = JSON.parse(process.argv[2]);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'dicomnode', client_secret: 'a secret of the tests', redirect_uris: [redirectUri],
    post_logout_redirect_uris: [leftUri] }],
  scopes: ['openid', 'profile', 'groups'],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name'], groups: ['groups'] },
  conformIdTokenClaims: !everythingInTheIdToken,
  pkce: { required: () => true },
  cookies: { keys: ['for tests alone'] },
  async findAccount(ctx, sub) {
    const { name, groups } = people[sub] ?? { name: sub, groups: [] };
    return { accountId: sub, claims: () => ({ sub, preferred_username: name, name: `${name} of the tests`, groups }) };
  },
});
provider.listen(port, '127.0.0.1', () => console.log('listening'));
